"""What a resident must not do for a session that it could find but not stand in for."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from annexshell.warm.starting import MOST
from tests.shell.test_warm import Server, one_cold
from tests.support.process import LIMIT
from tests.support.session import Session
from tests.support.shell import make_annex, write_identity
from tests.support.warm import Residents, is_warm

CONFINED = """
import ctypes, os, sys
library = ctypes.CDLL(None, use_errno=True)
assert library.prctl(38, 1, 0, 0, 0) == 0, "no new privileges"
if sys.argv[1] == "landlock":
    symlinks = ctypes.c_uint64(1 << 12)
    rules = library.syscall(444, ctypes.byref(symlinks), 8, 0)
    assert rules >= 0 and library.syscall(446, rules, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Gives up what no process gets back, and with ``landlock`` also the making of symlinks."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    home = tmp_path.resolve() / "h"
    home.mkdir()
    make_annex(home / "r.git")
    write_identity(home)
    with Residents(home / "run") as residents:
        yield Server(home, residents)


def confined(server: Server, how: str) -> Session:
    argv = [sys.executable, "-c", CONFINED, how, *server.argv()]
    return Session(argv, cwd=server.home, env=server.env)


def knows_landlock() -> bool:
    return bool(ctypes.CDLL(None).syscall(444, None, 0, 1) > 0)


@pytest.mark.skipif(not knows_landlock(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("first", ["landlock", "free"])
def test_nobody_gets_out_of_or_into_a_sandbox(server: Server, first: str) -> None:
    second = "free" if first == "landlock" else "landlock"
    with server.residents.awaiting(), confined(server, first) as session:
        session.greet()
        assert session.end().code == 0
    with confined(server, second) as session:
        session.greet()
        assert not is_warm(session.pid)
        assert (session.end().code, session.stderr) == (0, "")
    if first == "free":
        with confined(server, first) as session:
            session.greet()
            assert is_warm(session.pid)
            assert session.end().code == 0


def test_no_more_residents_than_an_account_can_bear(server: Server) -> None:
    """A client whose locale counts could have one started with each session."""
    with ExitStack() as stack:
        for number in range(MOST):
            path = server.residents.folder / f"{number}.lock"
            held = stack.enter_context(path.open("w"))
            fcntl.flock(held, fcntl.LOCK_EX)
        one_cold(server)
        assert len(list(server.residents.folder.iterdir())) == MOST
        fcntl.flock(held, fcntl.LOCK_UN)
        with server.residents.awaiting():
            one_cold(server)


@pytest.mark.parametrize("missing", ["home", "cache", "nothing"])
def test_nothing_is_made_in_a_home_that_is_not_ones_own(
    server: Server, tmp_path: Path, missing: str
) -> None:
    if missing != "home" and os.geteuid() != 0:
        pytest.skip("only root can go where others are at home")
    home = tmp_path / "home"
    if missing != "home":
        home.mkdir()
        if missing == "nothing":
            (home / ".cache").mkdir()
            os.chown(home / ".cache", 65534, 65534)
        os.chown(home, 65534, 65534)
    before = list(tmp_path.rglob("*"))
    with server.session(HOME=str(home), XDG_RUNTIME_DIR="") as session:
        session.greet()
        assert session.end().code == 0
    after = list(tmp_path.rglob("*"))
    assert [p for p in after if p not in before and p.is_relative_to(home)] == []


def test_a_signal_behind_the_end_of_the_session_changes_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    (path,) = server.residents.sockets()
    server.residents.stop()
    path.unlink()
    monkeypatch.chdir(path.parent)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        other.bind(path.name)
        other.listen(5)
        with server.session() as session:
            link, _ = other.accept()
            link.send(b"H")
            assert link.recv(1 << 20)
            serving = _somebody()
            link.send(b"R%d" % serving)
            assert link.recv(1) == b"G"
            os.kill(serving, signal.SIGKILL)
            os.waitpid(serving, 0)
            while not _catches(session.pid, signal.SIGTERM):
                os.sched_yield()
            os.kill(session.pid, signal.SIGTERM)
            link.send(b"\7")
            assert session.process.wait(timeout=LIMIT) == 7
            link.close()


def _somebody() -> int:
    """A process that waits to be killed."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(1)
    return pid


def _catches(pid: int, number: signal.Signals) -> bool:
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("SigCgt:")]
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
