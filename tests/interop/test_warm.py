"""All these tests run warm: sessions by way of sshd are handed to a resident too."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.process import LIMIT, descendants
from tests.support.session import over_ssh
from tests.support.sshserver import SshServer
from tests.support.warm import is_warm
from tests.support.world import World


@pytest.fixture
def served(world: World, current: Client, place: Path) -> Repo:
    return Repo.create(world, current, place / "srv", bare=True)


def launchers(server: SshServer, served: Repo) -> list[int]:
    """The programs that were started for sessions with this repository."""
    found, where = [], bytes(served.path)
    for pid in descendants(server.process.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        # Others may have sessions of earlier tests, which come to their end.
        ours = any(word.endswith(b"/annexshell") for word in words)
        if ours and any(where in word for word in words):
            found.append(pid)
    return found


def handed_over(server: SshServer, served: Repo) -> bool:
    with over_ssh(server, "ours", served) as session:
        assert session.greet() == served.uuid.encode(), session.stderr
        (launcher,) = launchers(server, served)
        warm = is_warm(launcher)
        assert session.end().code == 0
    return warm


def test_sessions_are_handed_over(server: SshServer, served: Repo) -> None:
    deadline = time.monotonic() + LIMIT
    while not handed_over(server, served):  # It started a resident.
        assert time.monotonic() < deadline, "no session is handed over"


def test_none_is_where_that_is_turned_off(
    world: World, server: SshServer, served: Repo
) -> None:
    with world.cold():
        assert not handed_over(server, served)
