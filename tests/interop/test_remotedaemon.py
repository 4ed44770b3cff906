"""git-annex's remote daemon hears of a push by another client, and fetches it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.client import Client, Repo, clone
from tests.support.gateway import Gateway
from tests.support.session import Session
from tests.support.sshserver import SshServer
from tests.support.world import World

ours = pytest.mark.skipif(
    os.environ.get("ANNEXSHELL_TEST_SERVER", "annexshell") != "annexshell",
    reason="git-annex-shell has this defect",
)


def daemon(repo: Repo) -> Session:
    """The daemon as the assistant runs it: it speaks lines on its standard streams."""
    argv = ["git-annex", "remotedaemon", "--foreground"]
    return Session(argv, cwd=repo.path, env=repo.env)


def until(session: Session, word: bytes) -> bytes:
    """The line that begins with ``word``; others are passed over."""
    while line := session.hear():
        if line.split()[0] == word:
            return line
    raise AssertionError(f"no {word!r} came\n{session.stderr}")


def push_from(repo: Repo) -> str:
    repo.git("commit", "--quiet", "--allow-empty", "-m", "news")
    repo.git("push", "--quiet", "origin", "main")
    return repo.git("rev-parse", "main").out.strip()


def seen(repo: Repo, remote: str = "origin") -> str:
    return repo.git("rev-parse", f"refs/remotes/{remote}/main").out.strip()


@pytest.fixture
def writer(world: World, current: Client, place: Path, gateway: Gateway) -> Repo:
    """A client that pushes to the gateway's repository by path."""
    repo = Repo.create(world, current, place / "writer")
    repo.git("remote", "add", "origin", gateway.repo.path)
    repo.git("push", "--quiet", "origin", "main")
    return repo


@pytest.fixture
def reader(
    world: World, place: Path, gateway: Gateway, writer: Repo
) -> Callable[[Client, SshServer, str], Repo]:
    def make(client: Client, server: SshServer, account: str) -> Repo:
        url = server.url(account, gateway.repo.path)
        repo = clone(world, client, url, place / "reader")
        # The daemon connects to remotes whose uuid is known.
        repo.git("config", "remote.origin.annex-uuid", gateway.repo.uuid)
        return repo

    return make


Reader = Callable[[Client, SshServer, str], Repo]


def test_each_client_hears_of_a_push_at_once(
    client: Client, server: SshServer, reader: Reader, writer: Repo
) -> None:
    repo = reader(client, server, "ours")
    with daemon(repo) as session:
        until(session, b"CONNECTED")
        for _ in range(2):
            pushed = push_from(writer)
            assert until(session, b"DONESYNCING").endswith(b" 1")
            assert seen(repo) == pushed
        session.say(b"STOP")
        session.end()


@pytest.mark.parametrize("account", ["readonly", "appendonly"])
def test_so_does_a_restricted_one(
    current: Client, openssh: SshServer, reader: Reader, writer: Repo, account: str
) -> None:
    repo = reader(current, openssh, account)
    with daemon(repo) as session:
        until(session, b"CONNECTED")
        pushed = push_from(writer)
        until(session, b"DONESYNCING")
        assert seen(repo) == pushed


@ours
def test_one_id_that_is_known_hides_no_other(
    current: Client, openssh: SshServer, reader: Reader, writer: Repo
) -> None:
    """The daemon fetches nothing for a line of which it has one id."""
    repo = reader(current, openssh, "ours")
    with daemon(repo) as session:
        until(session, b"CONNECTED")
        writer.git("commit", "--quiet", "--allow-empty", "-m", "news")
        known = "refs/remotes/origin/main:refs/heads/known"
        writer.git("push", "--quiet", "--atomic", "origin", known, "main")
        until(session, b"DONESYNCING")
        assert seen(repo) == writer.git("rev-parse", "main").out.strip()


@ours
def test_what_was_pushed_and_packed_before_it_connected(
    current: Client, openssh: SshServer, reader: Reader, writer: Repo, gateway: Gateway
) -> None:
    """The daemon fetches only what it is told of; it must hear of branches it missed."""
    repo = reader(current, openssh, "ours")
    pushed = push_from(writer)
    gateway.repo.git("pack-refs", "--all")
    with daemon(repo) as session:
        until(session, b"DONESYNCING")
        assert seen(repo) == pushed
