"""A gateway's locks on keys: exclusive, released by death, and leaving no files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from annexshell.errors import StorageFailed
from annexshell.model.key import Key
from annexshell.repository.filelock import try_lock
from annexshell.repository.keylocks import KeyLocks
from annexshell.repository.modes import Sharing
from tests.support.content import make_repository
from tests.support.memory_store import key_of

K = key_of(b"content")


@pytest.fixture
def locks(tmp_path: Path) -> KeyLocks:
    return KeyLocks(str(tmp_path / "annex/annexshell"), str(tmp_path))


def files(locks: KeyLocks) -> list[str]:
    return os.listdir(os.path.dirname(locks.upload_path(K)))


def test_one_session_has_a_lock_at_a_time(locks: KeyLocks) -> None:
    held = locks.try_upload(K)
    assert held is not None
    assert locks.try_upload(K) is None
    other = KeyLocks(os.path.dirname(locks.upload_path(K)), "/")
    assert other.try_upload(K) is None
    held.close()
    again = other.try_upload(K)
    assert again is not None
    again.close()


def test_the_two_locks_and_the_keys_are_apart(locks: KeyLocks) -> None:
    upload, change = locks.try_upload(K), locks.try_change(K)
    other = locks.try_upload(key_of(b"other"))
    assert upload and change and other
    for lock in (upload, change, other):
        lock.close()


def test_a_free_lock_has_no_file(locks: KeyLocks) -> None:
    held = locks.try_upload(K)
    assert held is not None and len(files(locks)) == 1
    held.close()
    held.close()
    assert files(locks) == []


def test_one_session_changes_a_key_at_a_time(locks: KeyLocks) -> None:
    held, other = locks.try_change(K), locks.try_change(key_of(b"other"))
    assert held and other
    again = KeyLocks(os.path.dirname(locks.upload_path(K)), "/")
    assert locks.try_change(K) is again.try_change(K) is None
    held.close()
    held.close()
    freed = again.try_change(K)
    assert freed is not None and locks.try_change(key_of(b"other")) is None
    freed.close()
    other.close()
    assert files(locks) == ["changes"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")
def test_a_change_lock_that_cannot_be_had_is_told(locks: KeyLocks) -> None:
    Path(locks.change_path).parent.mkdir(parents=True)
    Path(locks.change_path).touch(0o444)
    with pytest.raises(StorageFailed, match="locking a key failed"):
        locks.try_change(K)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_what_root_made_is_the_owners_of_the_directory(locks: KeyLocks) -> None:
    """Else no session of theirs could remove anything any more."""
    directory = Path(locks.change_path).parent
    directory.mkdir(parents=True)
    os.chown(directory, 65534, 64321)
    held = locks.try_change(K)
    assert held is not None
    held.close()
    status = Path(locks.change_path).stat()
    assert (status.st_uid, status.st_gid) == (65534, 64321)


def test_what_a_dead_session_left_is_used_and_removed(locks: KeyLocks) -> None:
    held = locks.try_upload(K)
    assert held is not None
    left = Path(locks.upload_path(K))
    held.close()
    left.write_bytes(b"")
    again = locks.try_upload(K)
    assert again is not None
    again.close()
    assert files(locks) == []


def test_a_file_that_is_deleted_while_it_is_locked_is_not_the_lock(
    locks: KeyLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last holder may delete it between our opening and our locking it."""
    path = locks.upload_path(K)
    deleted: list[str] = []

    def racing(name: str, *, exclusive: bool) -> object:
        found = try_lock(name, exclusive=exclusive)
        if not deleted:
            os.unlink(path)
            deleted.append(path)
        return found

    monkeypatch.setattr("annexshell.repository.keylocks.try_lock", racing)
    Path(path).parent.mkdir(parents=True)
    held = locks.try_upload(K)
    assert held is not None and deleted
    assert os.path.exists(path)
    monkeypatch.undo()
    assert locks.try_upload(K) is None
    held.close()


def test_another_sessions_file_is_not_deleted(locks: KeyLocks) -> None:
    """Somebody tidied by hand; the name is another lock's now."""
    held = locks.try_upload(K)
    assert held is not None
    os.unlink(locks.upload_path(K))
    other = locks.try_upload(K)
    assert other is not None
    held.close()
    assert os.path.exists(locks.upload_path(K))
    other.close()


def test_an_upload_that_gets_on_can_be_seen(locks: KeyLocks) -> None:
    assert locks.upload_trace(K) is None
    held = locks.try_upload(K)
    assert held is not None
    os.utime(locks.upload_path(K), (1, 1))
    seen = locks.upload_trace(K)
    assert seen is not None and locks.upload_trace(K) == seen
    held.touch()
    assert locks.upload_trace(K) != seen
    held.close()
    assert locks.upload_trace(K) is None


@pytest.mark.parametrize("length", [240, 247, 248, 249, 255, 400])
def test_keys_with_long_names_can_be_locked(locks: KeyLocks, length: int) -> None:
    key = Key.parse(b"WORM--" + b"x" * (length - 6))
    assert len(key.file_name) == length
    held = locks.try_change(key)
    assert held is not None
    assert locks.try_change(key) is None
    held.close()


def test_names_that_would_lead_elsewhere_do_not(locks: KeyLocks) -> None:
    key = Key.parse(b"URL--../../../x")
    held = locks.try_upload(key)
    assert held is not None and len(files(locks)) == 1
    held.close()


def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "annex").write_bytes(b"a file")
    locks = KeyLocks(str(tmp_path / "annex/annexshell"), str(tmp_path))
    for attempt in (locks.try_upload, locks.try_change):
        with pytest.raises(StorageFailed, match="locking a key failed"):
            attempt(K)


def test_the_files_are_shared_as_the_repository_is(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        top = str(tmp_path)
        locks = KeyLocks(top + "/annexshell", top, Sharing.parse("group"))
        held = locks.try_upload(K)
    finally:
        os.umask(umask)
    assert held is not None
    path = Path(locks.upload_path(K))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o770 == 0o770
    held.close()


def test_a_repositorys_locks_are_below_its_annex(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r.git")
    locks = KeyLocks.of(repository)
    assert locks.change_path == f"{repository.annex_dir}/annexshell/changes"
    assert locks.lockable
    held = locks.try_change(K)
    assert held is not None
    held.close()
