"""annex.pidlock: one lock for a whole repository, shared with git-annex (spec 02 §8)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.interop.test_testremote import passed
from tests.support.client import Client, Repo
from tests.support.session import Session, on_pipes, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("cold")

CONTENT = b"content under one lock"
KEY = sha256_key(CONTENT)


@pytest.fixture(params=["short", "a-name-that-makes-the-path-long-enough"])
def repo(
    request: pytest.FixtureRequest, world: World, current: Client, place: Path
) -> Repo:
    """A repository with annex.pidlock; git-annex names the side lock by the path."""
    made = Repo.create(world, current, place / str(request.param), bare=True)
    made.git("config", "annex.pidlock", "true")
    made.git("config", "annex.pidlocktimeout", "2")
    return made


def pid_lock(repo: Repo) -> Path:
    return repo.path / "annex" / "pidlock"


def store(world: World, program: str, repo: Repo) -> None:
    with on_pipes(world, program, repo, repo.uuid) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS", session.stderr
        assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"


def drop(repo: Repo) -> bool:
    done = repo.annex("drop", "--force", "--key", KEY.decode(), check=False)
    assert (done.code == 0) != repo.has(KEY.decode()), done
    return done.code == 0


def lock(session: Session) -> None:
    session.greet()
    assert session.ask(b"LOCKCONTENT " + KEY) == b"SUCCESS", session.stderr


def reference(current: Client) -> str:
    return str(current.shell)


def test_our_lock_stops_git_annex(world: World, program: str, repo: Repo) -> None:
    store(world, program, repo)
    with on_pipes(world, program, repo, repo.uuid) as session:
        lock(session)
        assert f"lockingPid = {session.pid}," in pid_lock(repo).read_text()
        assert not drop(repo)
        session.say(b"UNLOCKCONTENT")
        assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"
        assert not pid_lock(repo).exists()
        assert drop(repo)


def test_the_lock_of_git_annex_stops_us(
    world: World, program: str, current: Client, repo: Repo
) -> None:
    store(world, program, repo)
    with (
        on_pipes(world, reference(current), repo, repo.uuid) as theirs,
        on_pipes(world, program, repo, repo.uuid) as ours,
    ):
        lock(theirs)
        ours.greet()
        refused = ours.ask(b"REMOVE " + KEY)
        assert refused.startswith(b"ERROR content is locked"), refused
        assert f"process {theirs.pid} on {os.uname().nodename}" in refused.decode()
        assert ours.ask(b"LOCKCONTENT " + KEY) == b"FAILURE"
        refused = ours.ask(b"PUT  " + sha256_key(b"more"))
        assert refused.startswith(b"ERROR unable to take transfer lock"), refused
        assert ours.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"
        theirs.say(b"UNLOCKCONTENT")
        assert theirs.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"
        assert ours.ask(b"REMOVE " + KEY) == b"SUCCESS", ours.stderr
    assert not repo.has(KEY.decode())


def test_git_annex_that_came_through_a_link_stops_us(
    world: World, program: str, current: Client, repo: Repo, place: Path
) -> None:
    """It names the side lock by the path it was given, so that ours is another one.

    Before version 10 nothing but the lock keeps the content.
    """
    repo.git("config", "annex.version", "9")
    repo.git("config", "annex.autoupgraderepository", "false")
    store(world, program, repo)
    (place / "link").symlink_to(repo.path.parent)
    linked = Repo(world, current, place / "link" / repo.path.name)
    with (
        on_pipes(world, reference(current), linked, repo.uuid) as theirs,
        on_pipes(world, program, repo, repo.uuid) as ours,
    ):
        lock(theirs)
        ours.greet()
        refused = ours.ask(b"REMOVE " + KEY)
        assert refused.startswith(b"ERROR gave up waiting for a lock"), refused
        assert f"held by process {theirs.pid} on".encode() in refused
        assert f"lockingPid = {theirs.pid}," in pid_lock(repo).read_text()
        theirs.say(b"UNLOCKCONTENT")
        assert theirs.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"
        assert ours.ask(b"REMOVE " + KEY) == b"SUCCESS", ours.stderr


def test_our_lock_stops_git_annex_in_a_linked_worktree(
    world: World, program: str, current: Client, place: Path
) -> None:
    """Before version 10 nothing but the lock keeps the content."""
    main = Repo.create(world, current, place / "main")
    for name, value in (
        ("annex.version", "9"),
        ("annex.autoupgraderepository", "false"),
        ("annex.pidlock", "true"),
        ("annex.pidlocktimeout", "2"),
    ):
        main.git("config", name, value)
    main.add("file", b"a file for the first commit")
    main.git("worktree", "add", "-q", str(place / "linked"))
    linked = Repo(world, current, place / "linked")
    store(world, program, main)
    with on_pipes(world, program, main, main.uuid) as session:
        lock(session)
        done = linked.annex("drop", "--force", "--key", KEY.decode(), check=False)
        assert done.code != 0
        assert main.has(KEY.decode())
        session.say(b"UNLOCKCONTENT")
        assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"
        linked.annex("drop", "--force", "--key", KEY.decode())
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE"


def test_a_killed_holder_is_taken_over_both_ways(
    world: World, program: str, current: Client, repo: Repo
) -> None:
    store(world, program, repo)
    for killed, next_one in (
        (program, reference(current)),
        (reference(current), program),
    ):
        with on_pipes(world, killed, repo, repo.uuid) as session:
            lock(session)
            os.kill(session.pid, signal.SIGKILL)
            session.process.wait()
        assert pid_lock(repo).exists()
        with on_pipes(world, next_one, repo, repo.uuid) as session:
            lock(session)
            session.say(b"UNLOCKCONTENT")
            assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"
        assert not pid_lock(repo).exists()
    # Who was killed has promised the content nevertheless.
    assert not drop(repo)


def test_the_lock_of_another_host_is_respected(
    world: World, program: str, repo: Repo
) -> None:
    store(world, program, repo)
    foreign = 'PidLock {lockingPid = 1, lockingHost = "elsewhere"}'
    pid_lock(repo).write_text(foreign)
    with on_pipes(world, program, repo, repo.uuid) as session:
        session.greet()
        assert b"process 1 on elsewhere" in session.ask(b"REMOVE " + KEY)
    assert not drop(repo)
    assert pid_lock(repo).read_text() == foreign


def test_every_day_work_through_a_pid_locked_repository(
    repo: Repo, openssh: SshServer, place: Path
) -> None:
    me = repo.clone(openssh.url("ours", repo.path), place / "me")
    key = me.add("file", CONTENT)
    me.annex("copy", "--to=origin", "file")
    me.annex("drop", "file")
    me.annex("get", "file")
    me.annex("move", "--to=origin", "file")
    assert repo.has(key)
    me.annex("sync", "--no-content")
    repo.annex("fsck", "--all")
    me.annex("move", "--from=origin", "file")
    assert not repo.has(key)
    tested = me.annex("testremote", "--fast", "origin", check=False)
    assert tested.code == 0, tested.out + tested.err
    passed(tested, 100)
    repo.fsck_content()
    assert not pid_lock(repo).exists()
