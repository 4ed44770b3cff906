"""Receiving content: resume, verification, what is kept, and what may not happen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from annexshell.errors import (
    InsecureKey,
    JournalFailed,
    KeyNotStorable,
    NotEnoughSpace,
    StorageFailed,
    TransferInProgress,
)
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository import partial, placing
from annexshell.repository.content import Content
from annexshell.repository.contentlocks import SharedLock
from annexshell.repository.open import Repository
from tests.support.content import (
    HELLO,
    OTHER_PEER,
    PEER,
    Log,
    begin,
    drop,
    files_below,
    git,
    interrupt,
    make_repository,
    mode_of,
    object_path,
    put,
    reopened,
    sha256_key,
    tmp_path_of,
    watch_disk,
    write_object,
)

KEY = sha256_key(HELLO)
WORM = Key.parse(b"WORM-s10--x")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r")


@pytest.fixture
def content(repository: Repository) -> Content:
    return Content(repository)


def leftovers(repository: Repository) -> list[str]:
    """Files under annex/ that only an operation in progress may have."""
    annex = Path(repository.annex_dir)
    kept = ("objects", "sentinal", "othertmp.lck")
    found = (path.relative_to(annex) for path in files_below(annex))
    return sorted(
        str(path)
        for path in found
        if path.parts[0] not in kept or path.suffix in (".lck", ".rtm", ".rtl")
        if str(path) != "othertmp.lck"
    )


@pytest.mark.parametrize("version", ["8", "9", "10"])
def test_a_whole_put(tmp_path: Path, version: str) -> None:
    repository = make_repository(tmp_path / "r", version=version)
    content, log = Content(repository), Log()
    assert put(content, KEY, HELLO, log=log)
    found = object_path(repository, KEY)
    assert found.read_bytes() == HELLO
    assert mode_of(found) & 0o222 == 0
    assert log.entries == ["present"]
    assert content.present(KEY)
    assert leftovers(repository) == []
    assert content.begin_intake(KEY, peer=PEER) is None


def test_content_of_no_bytes(content: Content, repository: Repository) -> None:
    assert put(content, sha256_key(b""), b"")
    assert object_path(repository, sha256_key(b"")).read_bytes() == b""


def test_a_new_place_is_the_lower_one_in_a_bare_repository(
    content: Content, repository: Repository
) -> None:
    put(content, Key.parse(b"FOO-s6--bar"), HELLO)
    name = "FOO-s6--bar"
    expected = content.annex.paths.places(Key.parse(name.encode()))[0].object
    assert str(object_path(repository, Key.parse(name.encode()))) == expected


def test_an_interrupted_put_goes_on(content: Content, repository: Repository) -> None:
    interrupt(content, KEY, b"hel")
    assert tmp_path_of(repository, KEY).read_bytes() == b"hel"
    with begin(reopened(repository), KEY) as intake:
        assert intake.offset == 3
        intake.write_bytes(b"lo")
        intake.prehash()
        intake.write(b"\n")
        assert intake.hashed == 6
        assert intake.finish(Validity.VALID, Log().present)
    assert object_path(repository, KEY).read_bytes() == HELLO


def test_hashing_may_lag_behind_writing(content: Content) -> None:
    with begin(content, KEY) as intake:
        intake.write_bytes(b"hel")
        intake.write_bytes(b"lo\n")
        intake.hash_bytes(b"hel")
        assert intake.finish(Validity.VALID, Log().present)


def test_a_complete_temporary_file_needs_no_more_bytes(content: Content) -> None:
    interrupt(content, KEY, HELLO)
    with begin(content, KEY) as intake:
        assert intake.offset == 6
        assert intake.finish(Validity.VALID, Log().present)


def test_a_temporary_file_larger_than_the_key_starts_again(
    content: Content, repository: Repository
) -> None:
    path = tmp_path_of(repository, KEY)
    path.parent.mkdir()
    path.write_bytes(b"much more than hello")
    with begin(content, KEY) as intake:
        assert intake.offset == 0
        intake.write(HELLO)
        assert intake.finish(Validity.VALID, Log().present)


def test_a_temporary_file_may_have_been_frozen_already(
    content: Content, repository: Repository
) -> None:
    interrupt(content, KEY, b"hel")
    tmp_path_of(repository, KEY).chmod(0o444)
    assert put(content, KEY, HELLO)


@pytest.mark.parametrize(
    ("data", "validity"),
    [
        (b"hallo\n", Validity.VALID),
        (b"hello", Validity.VALID),
        (b"hello\n\n", Validity.VALID),
        (b"hel", Validity.INVALID),
        (b"hallo\n", Validity.UNSAID),
    ],
)
def test_what_is_not_the_content_is_thrown_away(
    content: Content, repository: Repository, data: bytes, validity: Validity
) -> None:
    log = Log()
    assert not put(content, KEY, data, validity=validity, log=log)
    assert not content.present(KEY)
    assert leftovers(repository) == []
    assert log.entries == []


@pytest.mark.parametrize("validity", [Validity.INVALID, Validity.UNSAID])
def test_a_matching_digest_outweighs_the_senders_doubt(
    content: Content, validity: Validity
) -> None:
    assert put(content, KEY, HELLO, validity=validity)


def test_corrupt_beginnings_are_found_and_thrown_away(
    content: Content, repository: Repository
) -> None:
    interrupt(content, KEY, b"hal")
    assert not put(content, KEY, HELLO)
    assert not tmp_path_of(repository, KEY).exists()
    assert put(content, KEY, HELLO)


def test_nothing_and_invalid_keeps_what_is_there(
    content: Content, repository: Repository
) -> None:
    interrupt(content, KEY, b"hel")
    with begin(content, KEY) as intake:
        assert not intake.finish(Validity.INVALID, Log().present)
    assert tmp_path_of(repository, KEY).read_bytes() == b"hel"


def test_lengths_that_do_not_add_up_keep_the_file(
    content: Content, repository: Repository
) -> None:
    with begin(content, KEY) as intake:
        intake.write(b"hello")
        with tmp_path_of(repository, KEY).open("ab") as other:
            other.write(b"!")
        assert not intake.finish(Validity.VALID, Log().present)
    assert tmp_path_of(repository, KEY).read_bytes() == b"hello!"


# -- defects of git-annex that must not come back -----------------------------------------


def test_d1_modified_thin_object_is_replaced(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", bare=False, annex_thin="true")
    edited = write_object(repository, KEY, b"edits\n")
    work_file = tmp_path / "r" / "file"
    os.link(edited, work_file)
    content = Content(repository)
    assert not content.present(KEY)
    assert put(content, KEY, HELLO)
    assert object_path(repository, KEY).read_bytes() == HELLO
    assert work_file.read_bytes() == b"edits\n"
    assert content.present(KEY)


def test_d1_an_edit_without_other_name_is_put_aside(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", bare=False, annex_thin="true")
    write_object(repository, KEY, b"edits\n")
    assert put(Content(repository), KEY, HELLO)
    bad = Path(repository.annex_dir, "bad", str(KEY))
    assert bad.read_bytes() == b"edits\n"


@pytest.mark.parametrize("version", ["9", "10"])
def test_d10_truncated_object_is_absent_and_replaced(
    tmp_path: Path, version: str
) -> None:
    repository = make_repository(tmp_path / "r", version=version)
    write_object(repository, KEY, b"hel")
    content = Content(repository)
    assert not content.present(KEY)
    assert content.lock_shared(KEY) is None
    assert content.open_for_get(KEY) is None
    assert put(content, KEY, HELLO)
    assert object_path(repository, KEY).read_bytes() == HELLO
    assert Path(repository.annex_dir, "bad", str(KEY)).read_bytes() == b"hel"


def test_d6_unverifiable_content_never_has_a_foreign_beginning(
    content: Content, repository: Repository
) -> None:
    path = tmp_path_of(repository, WORM)
    path.parent.mkdir()
    path.write_bytes(b"XXXXX")
    with begin(content, WORM) as intake:
        assert intake.offset == 0
        intake.write(b"56789")
        assert not intake.finish(Validity.VALID, Log().present)
    assert not content.present(WORM)


def test_d6_no_holes_where_the_file_was_shortened(
    content: Content, repository: Repository
) -> None:
    with begin(content, WORM) as intake:
        intake.write(b"01234")
        os.truncate(tmp_path_of(repository, WORM), 0)
        intake.write(b"56789")
        assert not intake.finish(Validity.VALID, Log().present)
    assert tmp_path_of(repository, WORM).read_bytes() == b"56789"


def test_d7_invalid_unverifiable_content_is_thrown_away(
    content: Content, repository: Repository
) -> None:
    assert not put(content, WORM, b"0123456789", validity=Validity.INVALID)
    assert leftovers(repository) == []
    assert put(content, WORM, b"0123456789", validity=Validity.UNSAID)


def test_d8_content_and_names_are_on_disk_before_the_record(
    content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch_disk(monkeypatch)
    with begin(content, KEY) as intake:
        intake.write(HELLO)
        assert intake.finish(Validity.VALID, lambda: seen.append("record"))
    parts = content.annex.paths.places(KEY)[0].directory.split("/")[-5:]
    names = [f"sync {part}" for part in reversed(parts)]
    assert seen == [f"sync {KEY}", "rename", *names, "record"]
    assert parts[0] == "annex"


def test_d8_adopted_content_is_on_disk_before_the_record(
    content: Content, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_object(repository, KEY, HELLO)
    seen = watch_disk(monkeypatch)
    assert content.adopt(KEY, lambda: seen.append("record"))
    assert seen[:2] == [f"sync {KEY}"] * 2
    assert seen[-2:] == ["sync annex", "record"]


def test_syncing_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Content(make_repository(tmp_path / "r2", annexshell_fsync="false"))
    seen = watch_disk(monkeypatch)
    assert put(content, KEY, HELLO)
    assert seen == ["rename"]


def test_d9_the_key_size_is_enforced(content: Content) -> None:
    wrong = Key.parse(KEY.text.replace(b"-s6-", b"-s7-"))
    assert not put(content, wrong, HELLO)
    git(Path(content.annex.repository.path), "config", "annex.verify", "false")
    assert not put(reopened(content.annex.repository), wrong, HELLO)


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo"])
def test_d11_only_a_regular_temporary_file_is_used(
    content: Content, repository: Repository, tmp_path: Path, kind: str
) -> None:
    path = tmp_path_of(repository, KEY)
    path.parent.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    if kind == "symlink":
        path.symlink_to(victim)
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(StorageFailed, match="not a regular file"):
        begin(content, KEY)
    assert victim.read_bytes() == b"precious"
    locks = Path(repository.annex_dir, "transfer")
    assert list(files_below(locks)) == []


def test_d11_another_name_of_the_temporary_file_is_not_written_to(
    content: Content, repository: Repository, tmp_path: Path
) -> None:
    path = tmp_path_of(repository, KEY)
    path.parent.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"hel")
    os.link(victim, path)
    with begin(content, KEY) as intake:
        assert intake.offset == 0
        intake.write(HELLO)
        assert intake.finish(Validity.VALID, Log().present)
    assert victim.read_bytes() == b"hel"


def test_d12_too_long_keys_are_refused_before_anything_is_stored(
    content: Content, repository: Repository
) -> None:
    key = Key.parse(b"WORM-s6--" + b"a" * 240)
    with pytest.raises(KeyNotStorable):
        begin(content, key)
    assert leftovers(repository) == []


# -- refusals before an offset is offered ---------------------------------------------------


def test_one_reception_at_a_time(content: Content, repository: Repository) -> None:
    with begin(content, KEY) as intake:
        for peer in (PEER, OTHER_PEER):
            with pytest.raises(TransferInProgress):
                begin(reopened(repository), KEY, peer)
        intake.write(HELLO)
        assert intake.finish(Validity.VALID, Log().present)


def test_the_reserve_is_kept(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", annex_diskreserve="1000PB")
    with pytest.raises(NotEnoughSpace, match="need .* PB more"):
        begin(Content(repository), KEY)
    assert leftovers(repository) == []


def test_the_reserve_is_not_wasted_on_what_came_before(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r")
    interrupt(Content(repository), KEY, b"hel")
    git(tmp_path / "r", "config", "annex.diskreserve", "1000PB")
    with pytest.raises(NotEnoughSpace):
        begin(reopened(repository), KEY)
    assert tmp_path_of(repository, KEY).read_bytes() == b"hel"


def test_other_receptions_need_space_too(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", annex_diskreserve="0")
    disk = os.statvfs(repository.annex_dir)
    half = disk.f_bavail * disk.f_frsize * 3 // 5
    first = Key.parse(b"WORM-s%d--first" % half)
    second = Key.parse(b"WORM-s%d--second" % half)
    with begin(Content(repository), first):
        with pytest.raises(NotEnoughSpace):
            begin(Content(repository), second)
    begin(Content(repository), second).close()


def test_the_reserve_is_kept_by_keys_without_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository(tmp_path / "r", annex_diskreserve="0")
    disk = os.statvfs(repository.annex_dir)
    free = disk.f_bavail * disk.f_frsize
    key = Key.parse(b"URL--http://example.com/")
    with begin(Content(repository), key) as intake:
        intake.expect(6)
        for length in (free * 2, 10**4000):
            with pytest.raises(NotEnoughSpace):
                intake.expect(length)
        intake.write(HELLO)
        # Meanwhile somebody else filled the disk.
        full = os.statvfs_result((*disk[:3], 0, 0, *disk[5:]))
        monkeypatch.setattr(os, "statvfs", lambda path: full)
        with pytest.raises(NotEnoughSpace):
            intake.write(HELLO)
        assert intake.written == len(HELLO)


def test_insecure_hashes_are_refused(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", annex_securehashesonly="true")
    key = Key.parse(b"MD5-s6--b1946ac92492d2347c6235b4d2611184")
    with pytest.raises(InsecureKey):
        begin(Content(repository), key)
    write_object(repository, key, HELLO)
    opened = Content(repository).open_for_get(key)
    assert opened is not None
    opened.close()


def test_insecure_hashes_are_refused_at_the_end_too(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r")
    content = Content(repository)
    key = Key.parse(b"MD5-s6--b1946ac92492d2347c6235b4d2611184")
    with begin(content, key) as intake:
        intake.write(HELLO)
        git(tmp_path / "r", "config", "annex.securehashesonly", "true")
        with pytest.raises(InsecureKey):
            intake.finish(Validity.VALID, Log().present)
    assert not content.present(key)


# -- failures ---------------------------------------------------------------------------------


def test_a_full_disk_keeps_what_fitted(
    content: Content, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: partial.Partial, chunk: memoryview) -> int:
        if self.size() >= 3:
            raise OSError(28, "No space left on device")
        return os.write(self.fd, chunk[:3])

    with begin(content, KEY) as intake:
        monkeypatch.setattr(partial.Partial, "append", full)
        with pytest.raises(StorageFailed, match="No space left"):
            intake.write(HELLO)
    assert tmp_path_of(repository, KEY).read_bytes() == b"hel"
    monkeypatch.undo()
    assert put(content, KEY, HELLO)


def test_content_that_cannot_be_logged_stays_and_is_logged_later(
    content: Content, repository: Repository
) -> None:
    failing = Log(fails=JournalFailed(where="journal", detail="disk full"))
    with pytest.raises(JournalFailed):
        put(content, KEY, HELLO, log=failing)
    assert content.present(KEY)
    assert leftovers(repository) == []
    log = Log()
    assert content.adopt(KEY, log.present)
    assert log.entries == ["present"]


def test_content_that_appeared_meanwhile_is_kept(
    content: Content, repository: Repository
) -> None:
    log = Log()
    with begin(content, KEY) as intake:
        intake.write(HELLO)
        path = write_object(repository, KEY, HELLO)
        inode = path.stat().st_ino
        assert intake.finish(Validity.VALID, log.present)
    assert path.stat().st_ino == inode
    assert log.entries == ["present"]
    assert leftovers(repository) == []


def test_a_replaced_temporary_file_is_not_put_in_place(
    content: Content, repository: Repository
) -> None:
    with begin(content, KEY) as intake:
        intake.write(HELLO)
        path = tmp_path_of(repository, KEY)
        path.unlink()
        path.write_bytes(b"hallo\n")
        with pytest.raises(StorageFailed, match="replaced"):
            intake.finish(Validity.VALID, Log().present)
    assert not content.present(KEY)


def test_something_irregular_in_the_place_is_an_error(
    content: Content, repository: Repository, tmp_path: Path
) -> None:
    place = Path(content.annex.paths.places(KEY)[0].object)
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed, match="not a regular file"):
        put(content, KEY, HELLO)
    assert tmp_path_of(repository, KEY).exists()


@pytest.mark.parametrize("version", ["9", "10"])
def test_objects_on_another_file_system_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    repository = make_repository(tmp_path / "r", version=version)
    content = Content(repository)
    rename = os.rename

    def across(source: str, target: str) -> None:
        if "/tmp/SHA256" in source and "/objects/" in target:
            raise OSError(18, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", across)
    assert put(content, KEY, HELLO)
    found = object_path(repository, KEY)
    assert mode_of(found) == 0o444
    assert leftovers(repository) == []
    assert [path.name for path in found.parent.iterdir()] == [found.name]
    # Nor is it locked for as long as this process lives.
    assert drop(reopened(repository), KEY)


def test_a_downloaders_work_area_goes_with_the_temporary_file(
    content: Content, repository: Repository
) -> None:
    interrupt(content, KEY, b"hel")
    work = Path(content.annex.paths.work(KEY))
    work.mkdir()
    (work / "part").touch()
    assert put(content, KEY, HELLO)
    assert not work.exists()


def test_adopting_needs_content(content: Content, repository: Repository) -> None:
    log = Log()
    with begin(content, KEY) as intake:
        assert not intake.adopt(log.present)
        write_object(repository, KEY, HELLO)
        assert intake.adopt(log.present)
    assert log.entries == ["present"]


def test_the_log_is_written_while_content_cannot_be_removed(
    content: Content, repository: Repository
) -> None:
    seen, log = [], Log()

    def record() -> None:
        other = reopened(repository)
        with pytest.raises(Exception, match="content is locked"):
            other.remove(KEY, None, lambda: 0, prepare=Log().prepare, record=log.absent)
        seen.append(other.present(KEY))

    with begin(content, KEY) as intake:
        intake.write(HELLO)
        assert intake.finish(Validity.VALID, record)
    assert seen == [True]


# -- what must not be acknowledged --------------------------------------------------------


def test_bytes_that_did_not_reach_the_disk_are_not_resumed(
    content: Content, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells of a failed write-back once; a second fsync would succeed."""

    def failing(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with begin(content, KEY) as intake:
        intake.write(HELLO)
        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(StorageFailed, match="Input/output error"):
            intake.finish(Validity.VALID, Log().present)
    monkeypatch.undo()
    assert not tmp_path_of(repository, KEY).exists()
    with begin(content, KEY) as again:
        assert again.offset == 0


def given_up_removal(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remover that has the lock when a PUT looks, and gives up before the PUT goes on."""
    lock = reopened(repository)._locking.lock_exclusive(KEY)
    assert lock is not None
    hold = placing.Placing._hold

    def late(self: placing.Placing, key: Key, *more: Any) -> SharedLock:
        assert lock is not None
        lock.close()
        return hold(self, key, *more)

    monkeypatch.setattr(placing.Placing, "_hold", late)


def test_content_that_stayed_after_all_is_synced_before_it_is_acknowledged(
    content: Content, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def noting(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        fsync(fd)

    with begin(content, KEY) as intake:
        intake.write(HELLO)
        path = write_object(repository, KEY, HELLO)
        given_up_removal(repository, monkeypatch)
        monkeypatch.setattr(os, "fsync", noting)
        assert intake.finish(Validity.VALID, Log().present)
    assert {path.stat().st_ino, path.parent.stat().st_ino} <= synced


@pytest.mark.parametrize("version", ["8", "9"])
def test_good_content_is_never_moved_away_for_its_like(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dying between the two moves would take away what somebody was told is here."""
    repository = make_repository(tmp_path / "r", version=version)
    with begin(Content(repository), KEY) as intake:
        intake.write(HELLO)
        path = write_object(repository, KEY, HELLO)
        given_up_removal(repository, monkeypatch)
        assert intake.finish(Validity.VALID, Log().present)
    assert path.read_bytes() == HELLO
    assert not Path(repository.annex_dir, "bad").exists()
