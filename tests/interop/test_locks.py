"""Locks: what is locked through us stays, whoever wants to remove it, and the reverse."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.gateway import Gateway
from tests.support.session import Session, on_pipes, over_ssh, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import World

#: Seconds a copy counts as locked after the connection of its locker was lost.
RETENTION = 600


@pytest.fixture
def repo(world: World, current: Client, place: Path) -> Repo:
    """A served repository, not bare, so that a person works in it as well."""
    return Repo.create(world, current, place / "repo")


@pytest.fixture(params=["direct", "proxied"])
def target(request: pytest.FixtureRequest, gateway: Gateway) -> tuple[Repo, str, Repo]:
    """The repository asked, the uuid asked for, and the repository that has the content."""
    node = gateway.add_path_node("node")
    gateway.publish()
    if request.param == "direct":
        return node, node.uuid, node
    return gateway.repo, node.uuid, node


def put(session: Session, content: bytes) -> bytes:
    key = sha256_key(content)
    assert session.put(key, content) == b"SUCCESS", session.stderr
    return key


def drop(repo: Repo, key: bytes) -> bool:
    """Have git-annex itself remove a key from a repository; whether it did."""
    done = repo.annex("drop", "--force", "--key", key.decode(), check=False)
    assert (done.code == 0) != repo.has(key.decode()), done
    return done.code == 0


@contextmanager
def expired(repo: Repo, key: bytes) -> Iterator[None]:
    """As if ten minutes had gone by: the retention stamps lie in the past."""
    stamps = list(repo.path.rglob("*.rtm"))
    assert stamps, "nothing is retained"
    for stamp in stamps:
        stamp.parent.chmod(0o755)
        stamp.chmod(0o644)
        stamp.write_text(f"{int(time.time()) - 1}s")
    yield


def test_a_locked_key_is_not_dropped_by_git_annex(
    world: World, program: str, target: tuple[Repo, str, Repo]
) -> None:
    asked, uuid, node = target
    with on_pipes(world, program, asked, uuid) as session:
        session.greet()
        key = put(session, b"locked by us")
        assert session.ask(b"LOCKCONTENT " + key) == b"SUCCESS"
        assert not drop(node, key)
        session.say(b"UNLOCKCONTENT")
        assert session.ask(b"CHECKPRESENT " + key) == b"SUCCESS"
        assert drop(node, key)


@pytest.mark.parametrize("ending", ["killed", "disconnected", "out of turn"])
def test_a_lost_locker_is_held_to_for_ten_minutes(
    world: World, program: str, target: tuple[Repo, str, Repo], ending: str
) -> None:
    """The client's proof for a drop counts on the lock, whatever became of us."""
    asked, uuid, node = target
    with on_pipes(world, program, asked, uuid) as session:
        session.greet()
        key = put(session, b"locked, then lost")
        before = time.time()
        assert session.ask(b"LOCKCONTENT " + key) == b"SUCCESS"
        if ending == "killed":
            session.process.kill()
            session.process.wait()
        elif ending == "disconnected":
            session.end()
        else:
            assert (
                session.ask(b"CHECKPRESENT " + key) == b"ERROR expected UNLOCKCONTENT"
            )
    stamps = [stamp.read_text() for stamp in node.path.rglob("*.rtm")]
    assert [float(stamp.rstrip("s")) >= before + RETENTION for stamp in stamps] == [
        True
    ]
    assert not drop(node, key)
    with on_pipes(world, program, asked, uuid) as session:
        session.greet()
        assert session.ask(b"REMOVE " + key) != b"SUCCESS"
    with expired(node, key):
        assert drop(node, key)


def test_a_key_git_annex_locks_is_not_removed_by_us(
    world: World, program: str, current: Client, target: tuple[Repo, str, Repo]
) -> None:
    asked, uuid, node = target
    reference = str(current.shell)
    with on_pipes(world, program, asked, uuid) as ours:
        ours.greet()
        key = put(ours, b"locked by git-annex")
        with on_pipes(world, reference, node) as theirs:
            theirs.greet()
            assert theirs.ask(b"LOCKCONTENT " + key) == b"SUCCESS"
            refused = ours.ask(b"REMOVE " + key)
            assert refused.split()[0] in (b"FAILURE", b"ERROR"), ours.stderr
            assert ours.ask(b"CHECKPRESENT " + key) == b"SUCCESS"
            theirs.say(b"UNLOCKCONTENT")
            assert theirs.ask(b"CHECKPRESENT " + key) == b"SUCCESS"
        assert ours.ask(b"REMOVE " + key) == b"SUCCESS"
    assert not node.has(key.decode())


def test_two_of_us_lock_the_same_key(
    world: World, program: str, target: tuple[Repo, str, Repo]
) -> None:
    asked, uuid, node = target
    with (
        on_pipes(world, program, asked, uuid) as one,
        on_pipes(world, program, asked, uuid) as two,
    ):
        one.greet()
        two.greet()
        key = put(one, b"locked twice")
        for session in (one, two):
            assert session.ask(b"LOCKCONTENT " + key) == b"SUCCESS"
        one.say(b"UNLOCKCONTENT")
        assert one.ask(b"CHECKPRESENT " + key) == b"SUCCESS"
        assert not drop(node, key)
        assert one.ask(b"REMOVE " + key) != b"SUCCESS"
        two.say(b"UNLOCKCONTENT")
        assert two.ask(b"CHECKPRESENT " + key) == b"SUCCESS"


def test_remove_before_holds_to_the_clock(
    world: World, program: str, target: tuple[Repo, str, Repo]
) -> None:
    asked, uuid, _ = target
    with on_pipes(world, program, asked, uuid) as session:
        session.greet()
        key = put(session, b"removed in time")
        now = int(session.ask(b"GETTIMESTAMP").split()[1])
        assert session.ask(b"REMOVE-BEFORE %d %s" % (now, key)) == b"FAILURE"
        assert session.ask(b"CHECKPRESENT " + key) == b"SUCCESS"
        assert session.ask(b"REMOVE-BEFORE %d %s" % (now + 60, key)) == b"SUCCESS"
        assert session.ask(b"REMOVE-BEFORE 1 " + key) == b"SUCCESS"


def test_drops_the_client_may_not_make(
    world: World, current: Client, repo: Repo, server: SshServer
) -> None:
    """Read-only and append-only keys remove nothing, whatever the client tries."""
    content = b"not yours to remove"
    with over_ssh(server, "appendonly", repo) as session:
        session.greet()
        key = put(session, content)
        refused = session.ask(b"REMOVE " + key)
        assert refused == b"ERROR this repository is append-only; removal denied"
        now = int(session.ask(b"GETTIMESTAMP").split()[1])
        refused = session.ask(b"REMOVE-BEFORE %d %s" % (now + 60, key))
        assert refused == b"ERROR this repository is append-only; removal denied"
    with over_ssh(server, "readonly", repo) as session:
        session.greet()
        denied = b"ERROR this repository is read-only; write access denied"
        assert session.ask(b"REMOVE " + key) == denied
        assert session.ask(b"PUT f " + key) == denied
        assert session.get(key) == (content, b"VALID")
    for account in ("readonly", "appendonly"):
        url = server.url(account, repo.path)
        me = repo.clone(url, repo.path.parent / account)
        refused_drop = me.annex(
            "drop", "--from=origin", "--force", "--key", key.decode(), check=False
        )
        assert refused_drop.code != 0 and repo.has(key.decode()), refused_drop
