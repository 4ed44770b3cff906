"""Content that another program writes to the temporary file, by its name (spec 02 §10)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.errors import StorageFailed, TransferInProgress
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository.content import Content
from annexshell.repository.open import Repository
from tests.support.content import (
    HELLO,
    PEER,
    Log,
    begin,
    make_repository,
    object_path,
    sha256_key,
    tmp_path_of,
    write_object,
)

KEY = sha256_key(HELLO)
SECRET = Key.parse(b"GPGHMACSHA1--80033552dbf841d95bb1f0c07b6866ae41c6238c")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r.git", annex_diskreserve="1")


@pytest.mark.parametrize("key", [KEY, SECRET], ids=str)
def test_what_was_written_is_counted_hashed_and_stored(
    repository: Repository, key: Key
) -> None:
    log = Log()
    with Content(repository).begin_again(key, peer=PEER) as intake:
        assert intake.path == str(tmp_path_of(repository, key))
        Path(intake.path).write_bytes(HELLO)
        intake.count_written()
        assert intake.written == len(HELLO)
        assert not intake.unproven
        assert intake.finish(Validity.VALID, log.present)
    assert log.entries == ["present"]
    assert object_path(repository, key).read_bytes() == HELLO


@pytest.mark.parametrize(
    ("key", "unproven"),
    [(KEY, False), (SECRET, True), (Key.parse(b"WORM-s0--x"), False)],
)
def test_an_empty_file_proves_nothing_where_the_key_says_nothing(
    repository: Repository, key: Key, unproven: bool
) -> None:
    with Content(repository).begin_again(key, peer=PEER) as intake:
        intake.count_written()
        assert intake.unproven is unproven


def test_content_that_is_here_is_received_again_and_stays(
    repository: Repository,
) -> None:
    stored = write_object(repository, KEY, HELLO)
    before = stored.stat()
    with Content(repository).begin_again(KEY, peer=PEER) as intake:
        Path(intake.path).write_bytes(HELLO)
        intake.count_written()
        assert intake.finish(Validity.VALID, Log().present)
    assert stored.stat().st_ino == before.st_ino
    assert not tmp_path_of(repository, KEY).exists()


def test_only_what_can_be_verified_is_continued(repository: Repository) -> None:
    for key, left in ((KEY, b"hel"), (SECRET, b"")):
        path = tmp_path_of(repository, key)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"hel")
        with Content(repository).begin_again(key, peer=PEER) as intake:
            assert path.read_bytes() == left
            assert intake.offset == len(left)


def test_the_file_must_still_have_its_one_name(repository: Repository) -> None:
    with Content(repository).begin_again(KEY, peer=PEER) as intake:
        path = Path(intake.path)
        os.link(path, path.with_name("other"))
        with pytest.raises(StorageFailed, match="replaced or linked"):
            intake.count_written()
        path.with_name("other").unlink()
        intake.count_written()
        path.unlink()
        path.write_bytes(HELLO)
        with pytest.raises(StorageFailed, match="replaced or linked"):
            intake.count_written()


def test_who_inherits_the_descriptors_holds_the_locks(repository: Repository) -> None:
    content = Content(repository)
    intake = begin(content, KEY)
    kept = [os.dup(fd) for fd in intake.lock_descriptors]
    # As when the process is killed: nothing is unlinked.
    for fd in intake.lock_descriptors:
        os.close(fd)
    with pytest.raises(TransferInProgress):
        content.begin_again(KEY, peer=PEER)
    for fd in kept:
        os.close(fd)
    content.begin_again(KEY, peer=PEER).close()


def test_a_file_may_grow_up_to_the_reserve(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    reserve = disk.f_bavail * disk.f_frsize // 2
    repository = make_repository(tmp_path / "r.git", annex_diskreserve=str(reserve))
    with Content(repository).begin_again(KEY, peer=PEER) as intake:
        assert 0 < intake.largest() < disk.f_bavail * disk.f_frsize
