"""Clients that stop without closing, and clients that store the same key at once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.process import LIMIT, descendants, start
from tests.support.session import Session, over_ssh, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("cold")

CONTENT = os.urandom(20_000_003)
KEY = sha256_key(CONTENT)
HALF = len(CONTENT) // 2


@pytest.fixture
def served(world: World, current: Client, place: Path) -> Repo:
    repo = Repo.create(world, current, place / "srv", bare=True)
    repo.git("config", "annexshell.stall-timeout", "2s")
    return repo


def servers_of(server: SshServer, repo: Repo) -> list[int]:
    """The sessions with the repository, by process id."""
    found = []
    for pid in descendants(server.process.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if b"p2pstdio" in words and os.fsencode(repo.path) in words:
            found.append(pid)
    return found


def until_none(server: SshServer, repo: Repo) -> None:
    deadline = time.monotonic() + LIMIT
    while servers_of(server, repo):
        assert time.monotonic() < deadline, "the session of a lost client goes on"
        os.sched_yield()


def stopped(session: Session) -> None:
    """ssh neither reads nor writes from now on, and its connection stays open."""
    session.process.send_signal(signal.SIGSTOP)


def another_stores_it(openssh: SshServer, served: Repo, offset: int | None) -> None:
    with over_ssh(openssh, "ours", served) as session:
        session.greet()
        answer = session.ask(b"PUT f " + KEY)
        if offset is None:
            assert answer == b"ALREADY-HAVE"
            return
        begun = int(answer.removeprefix(b"PUT-FROM "))
        assert 0 < begun <= offset
        session.write(b"DATA %d\n" % (len(CONTENT) - begun) + CONTENT[begun:])
        assert session.ask(b"VALID") == b"SUCCESS", session.stderr
    served.fsck()


def test_a_client_that_stops_in_the_middle_of_a_put(
    openssh: SshServer, served: Repo
) -> None:
    with over_ssh(openssh, "ours", served) as lost:
        lost.greet()
        assert lost.ask(b"PUT f " + KEY) == b"PUT-FROM 0"
        lost.write(b"DATA %d\n" % len(CONTENT) + CONTENT[:HALF])
        stopped(lost)
        assert servers_of(openssh, served)
        until_none(openssh, served)
        another_stores_it(openssh, served, HALF)


def test_a_client_that_stops_in_the_middle_of_a_get(
    openssh: SshServer, served: Repo
) -> None:
    with over_ssh(openssh, "ours", served) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS"
    with over_ssh(openssh, "ours", served) as lost:
        lost.greet()
        lost.say(b"GET 0 f " + KEY)
        assert lost.hear() == b"DATA %d" % len(CONTENT)
        stopped(lost)
        assert servers_of(openssh, served)
        until_none(openssh, served)
        another_stores_it(openssh, served, None)


@pytest.mark.parametrize("count", [2, 8])
def test_clients_that_store_the_same_at_once(
    openssh: SshServer, world: World, current: Client, served: Repo, count: int
) -> None:
    """git-annex's own server breaks the connection of all but one."""
    served.git("config", "--unset", "annexshell.stall-timeout")
    repos = []
    for number in range(count):
        repo = Repo.create(world, current, served.path.parent / f"c{number}")
        repo.add("big", CONTENT)
        repo.git("remote", "add", "origin", openssh.url("ours", served.path))
        repos.append(repo)
    copying = [
        start(
            ["git", "annex", "copy", "big", "--to", "origin"],
            cwd=repo.path,
            env=repo.env,
        )
        for repo in repos
    ]
    for process in copying:
        told = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, told
    key = repos[0].key("big")
    assert served.object(key).read_bytes() == CONTENT
    assert not [file for file in (served.path / "annex/tmp").glob("*")]
    served.fsck()
