"""What a process that waits for its session does, and tells the one that forked it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from annexshell.repository import config as gitconfig
from annexshell.repository.keptconfig import KeptConfigs
from annexshell.serve import rehearsal
from annexshell.warm import pages, session
from annexshell.warm.session import PAGES, Resident, Unfit

RUN = 24
MESSAGE = 1 << 16


@pytest.fixture
def telling(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Resident, socket.socket]]:
    """The resident as a session talks to it, and where it hears that."""
    monkeypatch.setattr(gitconfig, "known", gitconfig.known)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    resident = Resident(ours, KeptConfigs())
    with ours, theirs, resident._telling:
        theirs.setblocking(False)
        yield resident, theirs


def test_the_resident_hears_which_pages_were_used(
    telling: tuple[Resident, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    resident, heard = telling
    used = bytes(MESSAGE // RUN * RUN - RUN)
    monkeypatch.setattr(pages, "used", lambda: used)
    resident.rehearsed()
    assert heard.recv(MESSAGE) == PAGES + used


@pytest.mark.parametrize("runs", [MESSAGE // RUN + 1, 7000])
def test_more_than_it_could_hear_whole_is_not_said(
    telling: tuple[Resident, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    runs: int,
) -> None:
    """Every process after that would fail at what was cut off, and none have a session."""
    resident, heard = telling
    monkeypatch.setattr(pages, "used", lambda: bytes(runs * RUN))
    resident.rehearsed()
    with pytest.raises(BlockingIOError):
        heard.recv(MESSAGE)


def test_a_rehearsal_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is slower without it; a resident that ended would serve none."""

    def unfit(host: object) -> int:
        raise Unfit

    def gone(stage: str) -> list[bytes]:
        raise FileNotFoundError(stage)

    monkeypatch.setattr(session, "_serve", unfit)
    monkeypatch.setattr(rehearsal, "rehearse", gone)
    monkeypatch.setattr("sys.argv", ["annexshell"])
    session.rehearse("/nowhere")
