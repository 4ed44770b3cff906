"""Content locks and promises (spec 02 §7)."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from annexshell.errors import ContentLocked, LockTimeout, StorageFailed
from annexshell.repository import retention
from annexshell.repository.content import Content
from annexshell.repository.contentlocks import SharedLock
from annexshell.repository.filelock import FileLock, holder_of, try_lock, wait_lock
from annexshell.repository.locking import Locking
from annexshell.repository.objects import Objects
from annexshell.repository.open import Repository
from annexshell.repository.paths import ObjectPlace
from tests.support.content import (
    HELLO,
    drop,
    git,
    make_repository,
    object_path,
    put,
    reopened,
    sha256_key,
)

KEY = sha256_key(HELLO)
MINUTE = 60 * 10**9


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r")


@pytest.fixture
def content(repository: Repository) -> Content:
    content = Content(repository)
    assert put(content, KEY, HELLO)
    return content


@pytest.fixture
def place(repository: Repository, content: Content) -> ObjectPlace:
    path = object_path(repository, KEY)
    return ObjectPlace(str(path.parent), str(path))


def locked(content: Content) -> SharedLock:
    lock = content.lock_shared(KEY)
    assert lock is not None
    return lock


def names(place: ObjectPlace) -> set[str]:
    """What lies beside the object."""
    own = os.path.basename(place.object)
    return {name.removeprefix(own) for name in os.listdir(place.directory)}


def stamp(place: ObjectPlace, text: bytes) -> None:
    """What another process might have left."""
    os.chmod(place.directory, 0o755)
    Path(place.retention).write_bytes(text)
    os.chmod(place.directory, 0o555)


def current(place: ObjectPlace) -> int:
    moment = retention.read(place)
    assert moment is not None
    return moment


# -- version 10 -------------------------------------------------------------------------------


def test_a_locked_object_cannot_be_removed(
    repository: Repository, content: Content, place: ObjectPlace
) -> None:
    lock = locked(content)
    assert names(place) == {"", ".lck", ".rtl", ".rtm"}
    for remover in (content, reopened(repository)):
        with pytest.raises(ContentLocked, match="held by another session"):
            drop(remover, KEY)
    lock.unlock()
    assert names(place) == {""}
    assert drop(content, KEY)


def test_several_may_lock(
    repository: Repository, content: Content, place: ObjectPlace
) -> None:
    first, second = locked(content), locked(reopened(repository))
    second.unlock()
    with pytest.raises(ContentLocked):
        drop(content, KEY)
    first.unlock()


def test_what_is_absent_cannot_be_locked(content: Content, place: ObjectPlace) -> None:
    assert content.lock_shared(sha256_key(b"other")) is None
    assert drop(content, KEY)
    assert content.lock_shared(KEY) is None
    assert not os.path.exists(place.directory)


def test_what_is_being_removed_cannot_be_locked(
    repository: Repository, content: Content
) -> None:
    objects = Objects(content.annex)
    exclusive = Locking(content.annex, objects).lock_exclusive(KEY)
    assert exclusive is not None
    assert content.being_removed(KEY)
    assert reopened(repository).lock_shared(KEY) is None
    with pytest.raises(ContentLocked):
        drop(content, KEY)
    assert content.present(KEY)
    exclusive.close()
    assert not content.being_removed(KEY)
    locked(content).unlock()


def test_a_shared_lock_is_no_removal(content: Content) -> None:
    with locked(content):
        assert not content.being_removed(KEY)


def test_stale_lock_files_are_reused(content: Content, place: ObjectPlace) -> None:
    os.chmod(place.directory, 0o755)
    Path(place.lock).touch()
    locked(content).unlock()
    assert names(place) == {""}
    os.chmod(place.directory, 0o755)
    Path(place.lock).touch()
    assert drop(content, KEY)
    assert not os.path.exists(os.path.dirname(place.directory))


def test_a_lock_on_a_deleted_lock_file_is_none(
    content: Content, place: ObjectPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody deletes the file between our opening and our locking it."""
    real = FileLock.same_file
    deleted: list[str] = []

    def deleting(self: FileLock) -> bool:
        if not deleted and self.path == place.lock:
            deleted.append(self.path)
            os.chmod(place.directory, 0o755)
            os.unlink(self.path)
        return real(self)

    monkeypatch.setattr(FileLock, "same_file", deleting)
    lock = locked(content)
    assert deleted
    assert holder_of(place.lock)
    lock.unlock()


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_irregular_lock_files_are_refused(
    content: Content, place: ObjectPlace, tmp_path: Path, kind: str
) -> None:
    os.chmod(place.directory, 0o755)
    if kind == "symlink":
        Path(place.lock).symlink_to(tmp_path / "victim")
    elif kind == "fifo":
        os.mkfifo(place.lock)
    else:
        os.mkdir(place.lock)
    with pytest.raises(StorageFailed):
        content.lock_shared(KEY)
    with pytest.raises(StorageFailed):
        drop(content, KEY)
    assert content.present(KEY)
    assert not (tmp_path / "victim").exists()


# -- versions 8 and 9 -----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["8", "9"])
def test_before_version_10_the_object_is_locked(tmp_path: Path, version: str) -> None:
    repository = make_repository(tmp_path / "r", version=version)
    content = Content(repository)
    put(content, KEY, HELLO)
    path = object_path(repository, KEY)
    lock = locked(content)
    assert holder_of(str(path))
    assert os.listdir(path.parent) == [path.name]
    assert holder_of(content.annex.paths.sentinal)
    with pytest.raises(ContentLocked):
        drop(reopened(repository), KEY)
    assert path.stat().st_mode & 0o222 == 0
    lock.unlock()
    assert holder_of(content.annex.paths.sentinal) is None
    assert drop(content, KEY)
    assert content.lock_shared(KEY) is None


def test_a_repository_that_never_had_content_can_be_locked(tmp_path: Path) -> None:
    """As one of git-remote-gcrypt is, which nobody initialises."""
    repository = make_repository(tmp_path / "r", version="8")
    shutil.rmtree(repository.annex_dir)
    guard = Content(repository)._locking.guard()
    assert guard is not None
    guard.close()


def test_an_upgrade_is_noticed(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", version="9")
    content = Content(repository)
    put(content, KEY, HELLO)
    git(tmp_path / "r", "config", "annex.version", "10")
    lock = locked(content)
    assert os.path.exists(lock.place.lock)
    assert holder_of(content.annex.paths.sentinal) is None
    lock.unlock()


# -- promises -----------------------------------------------------------------------------------


def test_the_promise_is_for_ten_minutes(content: Content, place: ObjectPlace) -> None:
    before = time.time_ns()
    with locked(content):
        assert before <= current(place) - 10 * MINUTE <= time.time_ns()
    text = Path(place.retention).read_bytes()
    assert text.endswith(b"s")
    assert retention.parse(text) == current(place)


def test_d2_a_lock_that_is_left_without_unlock_keeps_its_promise(
    repository: Repository, content: Content, place: ObjectPlace
) -> None:
    with locked(content):
        pass
    assert holder_of(place.lock) is None
    with pytest.raises(ContentLocked, match="promised for (600|599) more seconds"):
        drop(reopened(repository), KEY)
    assert content.present(KEY)


def test_d3_a_dead_lockers_promise_outlives_a_later_unlock(
    repository: Repository, content: Content, place: ObjectPlace
) -> None:
    locked(content).close()
    promised = current(place)
    later = locked(reopened(repository))
    assert current(place) > promised
    later.unlock()
    assert current(place) == promised
    with pytest.raises(ContentLocked, match="promised"):
        drop(content, KEY)


def test_d4_a_promise_made_just_before_the_exclusive_lock_is_seen(
    content: Content, place: ObjectPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp appears when the remover takes its lock, not before."""
    real = Locking.lock_file

    def stamping(
        self: Locking, place: ObjectPlace, *, exclusive: bool
    ) -> FileLock | None:
        stamp(place, retention.format_stamp(time.time_ns() + MINUTE))
        return real(self, place, exclusive=exclusive)

    monkeypatch.setattr(Locking, "lock_file", stamping)
    with pytest.raises(ContentLocked, match="promised"):
        drop(content, KEY)


@pytest.mark.parametrize(
    "text", [b"", b"foo", b"1s\n", b" 1s", b"1.s", b"1x", b"1" * 99]
)
def test_d5_a_stamp_that_cannot_be_understood_counts_from_its_change(
    content: Content, place: ObjectPlace, text: bytes
) -> None:
    stamp(place, text)
    with pytest.raises(ContentLocked, match="promised"):
        drop(content, KEY)
    old = time.time() - 601
    os.utime(place.retention, (old, old))
    assert drop(content, KEY)
    assert not os.path.exists(place.directory)


def test_a_stamp_that_is_no_file_counts_too(
    content: Content, place: ObjectPlace, tmp_path: Path
) -> None:
    os.chmod(place.directory, 0o755)
    (tmp_path / "past").write_bytes(b"1s")
    os.symlink(tmp_path / "past", place.retention)
    with pytest.raises(ContentLocked, match="promised"):
        drop(content, KEY)


def test_a_promise_that_is_over_goes(content: Content, place: ObjectPlace) -> None:
    stamp(place, retention.format_stamp(time.time_ns() - MINUTE))
    assert drop(content, KEY)
    assert not os.path.exists(os.path.dirname(place.directory))


def test_a_longer_promise_is_never_lowered(
    content: Content, place: ObjectPlace
) -> None:
    far = time.time_ns() + 60 * MINUTE
    stamp(place, retention.format_stamp(far))
    lock = locked(content)
    assert current(place) >= far
    lock.unlock()
    assert current(place) == far


def test_a_foreign_stamp_written_later_is_left_alone(
    content: Content, place: ObjectPlace
) -> None:
    lock = locked(content)
    foreign = retention.format_stamp(current(place) + MINUTE)
    stamp(place, foreign)
    lock.unlock()
    assert Path(place.retention).read_bytes() == foreign


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_locks_of_one_process_leave_nothing_behind(
    content: Content, place: ObjectPlace, order: tuple[int, ...]
) -> None:
    locks = [locked(content) for _ in range(3)]
    for number in order:
        locks[number].unlock()
    assert names(place) == {""}


def test_an_abandoned_lock_among_others_keeps_its_own_promise(
    content: Content, place: ObjectPlace
) -> None:
    first, second, third = (locked(content) for _ in range(3))
    assert second.promise is not None
    third.unlock()
    second.close()
    first.unlock()
    assert current(place) == second.promise.moment


def test_no_promise_no_lock(
    content: Content, place: ObjectPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, text: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk, pytest.raises(StorageFailed):
        disk.setattr(retention, "write_all", full)
        content.lock_shared(KEY)
    assert holder_of(place.lock) is None
    assert not os.path.lexists(place.retention)
    assert drop(content, KEY)


def test_a_promise_is_never_written_over(content: Content, place: ObjectPlace) -> None:
    first = content.lock_shared(KEY)
    assert first is not None and first.promise is not None
    with first, open(place.retention, "rb") as stamp:
        second = content.lock_shared(KEY)
        assert second is not None and second.promise is not None
        with second:
            # What a power cut leaves of the second must not be less than the first.
            assert retention.parse(stamp.read()) == first.promise.moment
            assert current(place) == second.promise.moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"1795245989.236507119s", 1795245989236507119),
        (b"1795245989s", 1795245989 * 10**9),
        (b"1795245989", 1795245989 * 10**9),
        (b"5.25s", 5250000000),
        (b"5.0000000001s", 5000000001),
        (b"-5s", -5 * 10**9),
    ],
)
def test_stamps(text: bytes, moment: int) -> None:
    assert retention.parse(text) == moment


def test_stamps_are_written_as_git_annex_writes_them() -> None:
    assert retention.format_stamp(1795245989236507119) == b"1795245989.236507119s"
    assert retention.format_stamp(5250000000) == b"5.25s"
    assert retention.format_stamp(5000000000) == b"5s"


# -- lock files themselves ----------------------------------------------------------------------


def test_locks_exclude_each_other_within_a_process(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first = try_lock(path, exclusive=True)
    assert first is not None
    assert try_lock(path, exclusive=False) is None
    # Closing another descriptor of the file must not drop the lock.
    os.close(os.open(path, os.O_RDWR))
    assert holder_of(path) == "another session"
    assert holder_of(path, exclusive_only=True) == "another session"
    with pytest.raises(LockTimeout, match="another session"):
        wait_lock(path, exclusive=True, timeout=0)
    first.close()
    assert holder_of(path) is None
    with wait_lock(path, exclusive=False) as shared:
        assert shared.same_file()
        assert holder_of(path, exclusive_only=True) is None
        assert holder_of(path)


def test_looking_for_a_holder_makes_no_file(tmp_path: Path) -> None:
    assert holder_of(str(tmp_path / "lock")) is None
    with pytest.raises(FileNotFoundError):
        try_lock(str(tmp_path / "lock"), exclusive=True, create=False)
    assert not list(tmp_path.iterdir())


def test_a_shared_lock_becomes_exclusive_only_if_nobody_else_has_it(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "lock")
    one = try_lock(path, exclusive=False, writable=True)
    other = try_lock(path, exclusive=False)
    assert one is not None and other is not None
    assert not one.make_exclusive()
    assert holder_of(path, exclusive_only=True) is None
    # Not open for writing: the kernel would refuse it.
    one.close()
    assert not other.make_exclusive()
    other.close()
    last = try_lock(path, exclusive=False, writable=True)
    assert last is not None and last.make_exclusive()
    assert try_lock(path, exclusive=False) is None
    last.close()


def test_the_directory_is_frozen_while_content_is_locked(
    content: Content, place: ObjectPlace
) -> None:
    lock = locked(content)
    assert os.stat(place.directory).st_mode & 0o200 == 0
    lock.unlock()
    assert os.stat(place.directory).st_mode & 0o200 == 0
    assert names(place) == {""}
