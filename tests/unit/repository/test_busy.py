"""Transfers are counted over all processes, and end with whoever runs them."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from annexshell.model.ids import UUID
from annexshell.repository import busy as module
from annexshell.repository.busy import MOST, Busy
from annexshell.repository.modes import Sharing
from tests.support.repositories import plain_repo

NODE = UUID(b"11111111-1111-4111-8111-111111111111")
OTHER = UUID(b"22222222-2222-4222-8222-222222222222")
_ROOT = Path(__file__).resolve().parents[3]
_ELSEWHERE = """
import signal, sys
from contextlib import ExitStack
from annexshell.repository.busy import Busy

top, uuid, transfers = sys.argv[1:]
with ExitStack() as stack:
    for _ in range(int(transfers)):
        stack.enter_context(Busy(top).transfer(uuid.encode()))
    print("begun", flush=True)
    signal.pause()
"""


@pytest.fixture
def busy(tmp_path: Path) -> Busy:
    return Busy(str(tmp_path))


@contextmanager
def elsewhere(top: Path, uuid: UUID, transfers: int) -> Iterator[None]:
    """Another process with so many transfers, which is killed in the end."""
    words = [sys.executable, "-c", _ELSEWHERE, str(top), uuid.decode(), str(transfers)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=_ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            yield
        finally:
            process.kill()


def test_a_node_that_nobody_used_is_idle_and_leaves_no_file(
    busy: Busy, tmp_path: Path
) -> None:
    assert busy.count(NODE) == 0
    assert list(tmp_path.iterdir()) == []


def test_transfers_count_while_they_run(busy: Busy, tmp_path: Path) -> None:
    with busy.transfer(NODE):
        assert busy.count(NODE) == 1
        with busy.transfer(NODE), busy.transfer(NODE), busy.transfer(OTHER):
            assert (busy.count(NODE), busy.count(OTHER)) == (3, 1)
        assert (busy.count(NODE), busy.count(OTHER)) == (1, 0)
    assert busy.count(NODE) == 0
    files = tmp_path / "annexshell" / "busy"
    assert sorted(path.name.encode() for path in files.iterdir()) == [NODE, OTHER]
    assert [path.stat().st_size for path in files.iterdir()] == [0, 0]


def test_those_of_other_processes_count_and_end_with_them(
    busy: Busy, tmp_path: Path
) -> None:
    with elsewhere(tmp_path, NODE, 2), busy.transfer(NODE):
        assert busy.count(NODE) == 3
        with elsewhere(tmp_path, NODE, 1):
            assert busy.count(NODE) == 4
        assert busy.count(NODE) == 3
    assert busy.count(NODE) == 0


def test_slots_that_touch_count_each(
    busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = (1 << 62) - 1
    slots = iter((5, 4, 6, 0, last))
    monkeypatch.setattr(random, "getrandbits", lambda bits: next(slots))
    with ExitStack() as stack:
        for expected in (1, 2, 3, 4, 5):
            stack.enter_context(busy.transfer(NODE))
            assert busy.count(NODE) == expected


def test_counting_ends_somewhere(busy: Busy, tmp_path: Path) -> None:
    with elsewhere(tmp_path, NODE, MOST + 5):
        assert busy.count(NODE) == MOST


def test_foreign_locks_do_no_harm(busy: Busy, tmp_path: Path) -> None:
    with busy.transfer(NODE), elsewhere(tmp_path, NODE, 1):
        path = tmp_path / "annexshell" / "busy" / NODE.decode()
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert busy.count(NODE) == 2
        with path.open("rb") as file:
            request = module._request(fcntl.F_RDLCK, 0, 0)
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, request)
            assert 0 < busy.count(NODE) <= MOST


@pytest.mark.parametrize(
    "uuid", [b"", b"..", b"../x", b"a/b", b"lck", b"x" * 65, b"a\0b", b"\xff"]
)
def test_what_cannot_be_a_name_is_never_one(
    busy: Busy, tmp_path: Path, uuid: bytes
) -> None:
    with busy.transfer(UUID(uuid)):
        assert busy.count(UUID(uuid)) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_disk_that_takes_no_file_makes_nodes_idle(
    busy: Busy, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, "open", refuse)
    with busy.transfer(NODE):
        assert busy.count(NODE) == 0


def test_no_room_for_the_directory(busy: Busy, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, mode: int = 0o777) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(os, "mkdir", refuse)
    with busy.transfer(NODE):
        assert busy.count(NODE) == 0


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_makes_nodes_idle_and_leaks_nothing(
    busy: Busy, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    with busy.transfer(NODE):
        pass

    def refuse(fd: int, command: int, request: bytes) -> bytes:
        raise OSError(code, os.strerror(code))

    before = sorted(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with busy.transfer(NODE):
        assert busy.count(NODE) == 0
        assert sorted(os.listdir("/proc/self/fd")) == before


def test_links_and_fifos_are_not_followed(busy: Busy, tmp_path: Path) -> None:
    target = tmp_path / "annexshell" / "busy"
    target.mkdir(parents=True)
    (target / NODE.decode()).symlink_to(tmp_path / "elsewhere")
    os.mkfifo(target / OTHER.decode())
    for uuid in (NODE, OTHER):
        with busy.transfer(uuid):
            assert busy.count(uuid) == 0
    assert not (tmp_path / "elsewhere").exists()


def test_the_files_are_shared_as_the_repository_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        shared = Busy(str(tmp_path), Sharing.parse("group"))
        with shared.transfer(NODE):
            assert shared.count(NODE) == 1
    finally:
        os.umask(before)
    directory = tmp_path / "annexshell" / "busy"
    assert directory.stat().st_mode & 0o070 == 0o070
    assert (directory / NODE.decode()).stat().st_mode & 0o060 == 0o060


def test_it_lies_in_the_annex_of_the_gateway(tmp_path: Path) -> None:
    repository = plain_repo(tmp_path / "r").open()
    with Busy.of(repository).transfer(NODE):
        assert Busy.of(repository).count(NODE) == 1
    path = Path(repository.annex_dir) / "annexshell" / "busy" / NODE.decode()
    assert path.is_file()
