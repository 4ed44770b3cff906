"""One lock for a whole repository (spec 02 §8)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from annexshell.errors import ContentLocked, LockTimeout
from annexshell.repository import pidlock, sidelock
from annexshell.repository.branch import Branch
from annexshell.repository.content import Content
from annexshell.repository.errors import PidLockHeld
from annexshell.repository.filelock import FileLock, Locks, locks_of, try_lock
from annexshell.repository.open import Repository
from annexshell.repository.pidlock import Owner, PidLock, PidLocks
from tests.support.content import (
    HELLO,
    PEER,
    Log,
    begin,
    drop,
    make_repository,
    put,
    sha256_key,
)

KEY = sha256_key(HELLO)
HOST = os.uname().nodename

#: Takes the pid lock of the repository it is given, says so, and waits to be told to go.
HOLDER = """
import sys
from annexshell.repository.filelock import locks_of
from annexshell.repository.open import open_repository
locks = locks_of(open_repository(sys.argv[1]))
held = locks.try_lock(sys.argv[2], exclusive=True)
print(held is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pidlock, "GRACE", 0.0)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    settings = {"annex_pidlock": "true", "annex_pidlocktimeout": "0"}
    return make_repository(tmp_path / "r", more=settings)


@pytest.fixture
def locks(repository: Repository) -> Locks:
    return locks_of(repository)


@pytest.fixture
def lock_file(repository: Repository) -> Path:
    return Path(repository.annex_dir, "pidlock")


def held(lock: FileLock | None) -> FileLock:
    assert lock is not None
    return lock


def dead_process() -> int:
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


@contextmanager
def another_process(repository: Repository) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the pid lock."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, repository.path, repository.path + "/x"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"True\n"
        yield child


# -- the file and the side lock --------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (
            "/srv/annex/repo.git/annex/pidlock",
            "srv_annex_repo.git_annex_pidlock.lck",
        ),
        (
            "/srv/storage/annexes/project-one.git/annex/pidlock",
            "2639b823eb31ad3ef83da6253ddf1e0bes_project-one.git_annex_pidlock.lck",
        ),
        (
            "/tmp/pidlock/ääääääääääääääääääääääää/annex/pidlock",
            "3615177af85e68d238fd2f21b4a732eeääääääääääääääääää_annex_pidlock.lck",
        ),
    ],
)
def test_the_names_of_side_locks(path: str, name: str) -> None:
    assert os.path.basename(sidelock.names(path)[0]) == name


def test_a_short_name_is_locked_with_and_without_the_slash() -> None:
    with_slash, without = sidelock.names("/r/annex/pidlock")
    assert with_slash.endswith("/r_annex_pidlock.lck")
    assert without == with_slash.replace("/r_", "r_")
    assert len(sidelock.names("/a/rather/long/path/to/a/repo/annex/pidlock")) == 1


def test_the_lock_says_who_has_it(
    locks: Locks, lock_file: Path, tmp_path: Path
) -> None:
    with held(locks.try_lock(str(tmp_path / "x"), exclusive=True)):
        said = f'PidLock {{lockingPid = {os.getpid()}, lockingHost = "{HOST}"}}'
        assert lock_file.read_text() == said
        assert lock_file.stat().st_mode & 0o777 == 0o444
        assert lock_file.stat().st_nlink == 1
        side, *_ = sidelock.names(str(lock_file))
        assert os.stat(side).st_mode & 0o777 == 0o666
        assert try_lock(side, exclusive=True) is None
    assert not lock_file.exists()
    assert not os.path.exists(side)
    assert not [n for n in os.listdir(lock_file.parent) if n.startswith("locktmp")]


def test_it_is_held_from_the_first_lock_to_the_last(
    locks: Locks, lock_file: Path, tmp_path: Path
) -> None:
    one = held(locks.try_lock(str(tmp_path / "one"), exclusive=True))
    other = held(locks.wait_lock(str(tmp_path / "other"), exclusive=False))
    one.close()
    one.close()
    assert lock_file.exists()
    other.close()
    assert not lock_file.exists()


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [(True, True, False), (True, False, False), (False, True, False)]
    + [(False, False, True)],
)
def test_within_the_process_files_are_locked_as_ever(
    repository: Repository, tmp_path: Path, first: bool, second: bool, both: bool
) -> None:
    """Also where the repository was opened twice, as by a gateway."""
    path = str(tmp_path / "x")
    mine, theirs = locks_of(repository), locks_of(repository.reread())
    lock = held(mine.try_lock(path, exclusive=first))
    more = theirs.try_lock(path, exclusive=second)
    assert (more is not None) == both
    assert theirs.holder_of(path) == "another session"
    assert bool(theirs.holder_of(path, exclusive_only=True)) == first
    if more is not None:
        more.close()
        assert theirs.try_lock(path, exclusive=True) is None
    lock.close()
    held(theirs.try_lock(path, exclusive=True)).close()
    assert theirs.holder_of(path) is None


def test_a_lock_stays_with_a_file_that_is_renamed(locks: Locks, tmp_path: Path) -> None:
    path, later = tmp_path / "x", tmp_path / "later"
    lock = held(locks.try_lock(str(path), exclusive=False))
    path.rename(later)
    assert not lock.same_file()
    assert locks.try_lock(str(later), exclusive=True) is None
    held(locks.try_lock(str(path), exclusive=True)).close()
    lock.close()


def test_what_cannot_be_locked_leaves_nothing_held(
    locks: Locks, lock_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(OSError):
        locks.try_lock(str(tmp_path), exclusive=False)
    with pytest.raises(FileNotFoundError):
        locks.try_lock(str(tmp_path / "no" / "x"), exclusive=False)
    assert not lock_file.exists()


def test_threads_share_it(locks: Locks, lock_file: Path, tmp_path: Path) -> None:
    failures = []

    def work(number: int) -> None:
        for _ in range(50):
            lock = locks.try_lock(str(tmp_path / str(number)), exclusive=True)
            if lock is None or not lock_file.exists():
                failures.append(number)
            else:
                lock.close()

    with held(locks.try_lock(str(tmp_path / "x"), exclusive=True)):
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert not lock_file.exists()


def test_a_file_system_without_hard_links(
    locks: Locks, lock_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with held(locks.try_lock(str(tmp_path / "x"), exclusive=True)):
        assert Owner.parse(lock_file.read_bytes()) == (os.getpid(), HOST)
    assert not lock_file.exists()


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("some", [False, True])
def test_a_full_disk_leaves_no_half_of_a_lock(
    locks: Locks,
    lock_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    links: bool,
    some: bool,
) -> None:
    """Nobody could understand it, so nobody would ever break it."""
    write, room = os.write, 7 if some else 0
    if not links:
        # The file that was to be linked can still be written.
        room += len(Owner(os.getpid(), HOST).text)

    def full(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        written = write(fd, data[:room])
        room -= written
        return written

    def no_link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = str(lock_file.parent / "x")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        if not links:
            patched.setattr(os, "link", no_link)
        with pytest.raises(OSError, match="No space left"):
            locks.try_lock(path, exclusive=True)
    assert not any("lock" in path.name for path in lock_file.parent.iterdir())
    with held(locks.try_lock(path, exclusive=True)):
        assert Owner.parse(lock_file.read_bytes()) == (os.getpid(), HOST)


def test_a_lock_that_was_let_go_meanwhile_is_taken(
    locks: Locks, lock_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process deletes it between our two looks."""
    link = os.link

    def first(*_: object) -> None:
        monkeypatch.setattr(os, "link", link)
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr(os, "link", first)
    with held(locks.try_lock(str(tmp_path / "x"), exclusive=True)):
        assert Owner.parse(lock_file.read_bytes()) == (os.getpid(), HOST)


@pytest.mark.parametrize("relative", [False, True])
def test_git_annex_in_a_linked_worktree_is_excluded(
    repository: Repository, locks: Locks, tmp_path: Path, relative: bool
) -> None:
    """It makes the name of its side lock from the worktree's path."""
    tree = tmp_path / "worktree"
    about = Path(repository.common_dir, "worktrees", "worktree")
    about.mkdir(parents=True)
    link = os.path.relpath(tree, about) if relative else str(tree)
    (about / "gitdir").write_text(f"{link}/.git\n")
    theirs, *_ = sidelock.names(f"{tree}/.git/annex/pidlock")
    with held(locks.try_lock(str(tmp_path / "x"), exclusive=True)):
        assert try_lock(theirs, exclusive=True) is None
    assert not os.path.exists(theirs)
    with held(try_lock(theirs, exclusive=True)):
        assert locks.try_lock(str(tmp_path / "x"), exclusive=True) is None
        assert locks.held_elsewhere() is not None
    os.unlink(theirs)


# -- others ----------------------------------------------------------------------------------


def test_another_process_excludes_us(repository: Repository, lock_file: Path) -> None:
    content = Content(repository)
    put(content, KEY, HELLO)
    absent = sha256_key(b"absent")
    with another_process(repository) as child:
        who = f"process {child.pid} on {HOST} "
        assert (content.annex.locks.held_elsewhere() or "").startswith(who)
        assert content.lock_shared(KEY) is None
        with pytest.raises(ContentLocked, match=who):
            drop(content, KEY)
        with pytest.raises(PidLockHeld, match=who):
            content.begin_intake(absent, peer=PEER)
        with pytest.raises(LockTimeout, match=who):
            Branch(repository).record(KEY, repository.uuid, True)
        assert content.present(KEY)
        opened = content.open_for_get(KEY)
        assert opened is not None
        opened.close()
        content.begin_upload(KEY, peer=PEER).close()
        assert not content.being_removed(KEY)
    assert content.annex.locks.held_elsewhere() is None
    assert drop(content, KEY)
    assert not lock_file.exists()


def test_a_blocking_request_waits_for_another_process(
    repository: Repository, tmp_path: Path
) -> None:
    locks = locks_of(repository)
    with another_process(repository) as child:
        assert child.stdin is not None
        with pytest.raises(LockTimeout):
            locks.wait_lock(str(tmp_path / "x"), exclusive=True)
        child.stdin.close()
        locks.wait_lock(str(tmp_path / "x"), exclusive=True, timeout=60).close()


def test_a_moment_is_waited_for_also_by_others(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions commit what they recorded, which takes a moment."""
    monkeypatch.setattr(pidlock, "GRACE", 60.0)
    with another_process(repository) as child:
        assert child.stdin is not None
        child.stdin.close()
        lock = locks_of(repository).try_lock(str(tmp_path / "x"), exclusive=True)
        held(lock).close()


def test_the_lock_of_a_killed_process_is_taken_over(
    repository: Repository, locks: Locks, lock_file: Path, tmp_path: Path
) -> None:
    with another_process(repository) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert Owner.parse(lock_file.read_bytes()) == (child.pid, HOST)
        assert locks.held_elsewhere() is None
        with held(locks.try_lock(str(tmp_path / "x"), exclusive=True)):
            assert Owner.parse(lock_file.read_bytes()) == (os.getpid(), HOST)
    assert not lock_file.exists()


def test_a_side_lock_and_a_living_owner_both_exclude(
    locks: Locks, lock_file: Path, tmp_path: Path
) -> None:
    lock_file.write_bytes(Owner(os.getppid(), HOST).text)
    assert locks.try_lock(str(tmp_path / "x"), exclusive=True) is None
    assert f"process {os.getppid()} " in (locks.held_elsewhere() or "")
    # The number may be that of another process by now, which started later.
    os.utime(lock_file, (1, 1))
    assert locks.held_elsewhere() is None
    with held(locks.try_lock(str(tmp_path / "x"), exclusive=True)):
        assert Owner.parse(lock_file.read_bytes()) == (os.getpid(), HOST)
    lock_file.write_bytes(Owner(dead_process(), HOST).text)
    name, *_ = sidelock.names(str(lock_file))
    side = held(try_lock(name, exclusive=True))
    assert locks.try_lock(str(tmp_path / "x"), exclusive=True) is None
    os.unlink(name)
    side.close()


def test_who_is_just_letting_go_is_waited_for(
    locks: Locks, lock_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git-annex gives up its side lock first; a new lock must not be deleted with its."""
    lock_file.write_bytes(Owner(os.getppid(), HOST).text)

    def pause(_: float) -> None:
        lock_file.unlink()

    monkeypatch.setattr(time, "sleep", pause)
    with held(locks.try_lock(str(tmp_path / "x"), exclusive=True)):
        assert Owner.parse(lock_file.read_bytes()) == (os.getpid(), HOST)


@pytest.mark.parametrize(
    "text",
    [
        b'PidLock {lockingPid = 1, lockingHost = "elsewhere"}',
        f'PidLock {{lockingPid = x, lockingHost = "{HOST}"}}'.encode(),
        f'PidLock {{lockingPid = 999999, lockingHost = "{HOST}'.encode(),
        b"",
        b"garbage\n",
    ],
)
def test_what_may_be_held_is_never_broken(
    locks: Locks, lock_file: Path, tmp_path: Path, text: bytes
) -> None:
    lock_file.write_bytes(text)
    assert locks.try_lock(str(tmp_path / "x"), exclusive=True) is None
    assert str(lock_file) in (locks.held_elsewhere() or "")
    assert lock_file.read_bytes() == text
    assert not os.path.exists(sidelock.names(str(lock_file))[0])
    lock_file.unlink()
    held(locks.try_lock(str(tmp_path / "x"), exclusive=True)).close()


def test_a_lock_that_is_not_ours_any_more_is_left(
    locks: Locks, lock_file: Path, tmp_path: Path
) -> None:
    lock = held(locks.try_lock(str(tmp_path / "x"), exclusive=True))
    lock_file.unlink()
    lock_file.write_bytes(b"somebody's")
    lock.close()
    assert lock_file.read_bytes() == b"somebody's"


def test_git_annex_leaves_alone_what_it_cannot_see_the_side_lock_of(
    lock_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r").mkdir(exist_ok=True)
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    beside = str(tmp_path / "denied" / "side.lck")
    Path(beside).parent.mkdir()
    real = os.open

    def refusing(path: str, *rest: int) -> int:
        if path == beside:
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest)

    monkeypatch.setattr(sidelock, "names", lambda _: [str(tmp_path / "side"), beside])
    monkeypatch.setattr(os, "open", refusing)
    lock = PidLock(str(lock_file))
    assert lock.take()
    owner = Owner.parse(lock_file.read_bytes())
    assert owner is not None
    assert (owner.host != HOST, owner.is_of(HOST)) == (True, True)
    lock.give_back()
    lock_file.write_bytes(Owner(dead_process(), owner.host).text)
    assert lock.take()
    lock.give_back()


# -- parents and children --------------------------------------------------------------------


def test_a_program_run_under_the_lock_is_told(
    repository: Repository, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    hook = Path(repository.git_dir, "hooks", "freezecontent-annex")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nenv | grep PIDLOCK >> {told}\n")
    hook.chmod(0o755)
    content = Content(repository.reread())
    put(content, KEY, HELLO)
    path = "".join(c for c in repository.annex_dir if c.isalnum() or c == "_")
    assert set(told.read_text().split()) == {f"PIDLOCK_{path}pidlock=1"}


def test_a_program_beside_the_session_is_lent_nothing(
    repository: Repository, tmp_path: Path
) -> None:
    """A git-annex in annex-content would drop what a client has just locked."""
    told = tmp_path / "told"
    hook = Path(repository.git_dir, "hooks", "annex-content")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nenv >{told}\n")
    hook.chmod(0o755)
    content = Content(repository)
    put(content, KEY, HELLO)
    with content.lock_shared(KEY) or pytest.fail("it could not be locked"):
        content.annex.hooks.content_changed(repository.path)
    assert "PATH=" in told.read_text()
    assert "PIDLOCK" not in told.read_text()


def test_who_is_started_under_the_lock_does_not_wait_for_it(
    repository: Repository,
    lock_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = PidLock(str(lock_file))
    with another_process(repository):
        assert not child.take()
        monkeypatch.setenv(child.variable, "1")
        held_by_parent = lock_file.read_bytes()
        assert child.take()
        assert child.foreign_owner() is None
        child.give_back()
        assert lock_file.read_bytes() == held_by_parent
    # The parent has let go, so the variable says nothing any more.
    assert child.take()
    assert Owner.parse(lock_file.read_bytes()) == (os.getpid(), HOST)
    child.give_back()


# -- content ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["8", "10"])
def test_content_comes_and_goes(tmp_path: Path, version: str) -> None:
    repository = make_repository(tmp_path / "r", version=version, annex_pidlock="true")
    content = Content(repository)
    lock_file = Path(repository.annex_dir, "pidlock")
    with begin(content, KEY) as intake:
        assert lock_file.exists()
        intake.write(HELLO)
    assert not lock_file.exists()
    assert put(content, KEY, HELLO)
    lock = content.lock_shared(KEY)
    assert lock is not None
    assert lock_file.exists()
    with pytest.raises(ContentLocked, match="another session"):
        drop(content, KEY)
    lock.unlock()
    assert not lock_file.exists()
    assert content.adopt(KEY, Log().present)
    assert drop(content, KEY)
    assert not lock_file.exists()
    assert not list(Path(repository.annex_dir, "objects").iterdir())


def test_a_promise_outlives_the_lock(repository: Repository, lock_file: Path) -> None:
    content = Content(repository)
    put(content, KEY, HELLO)
    lock = content.lock_shared(KEY)
    assert lock is not None
    lock.close()
    assert not lock_file.exists()
    with pytest.raises(ContentLocked, match="promised"):
        drop(content, KEY)


def test_pid_locks_are_not_shared_between_repositories(tmp_path: Path) -> None:
    one = make_repository(tmp_path / "one", annex_pidlock="true")
    other = make_repository(tmp_path / "other", annex_pidlock="true")
    plain = make_repository(tmp_path / "plain")
    with held(locks_of(one).try_lock(str(tmp_path / "x"), exclusive=True)):
        assert not Path(other.annex_dir, "pidlock").exists()
        assert put(Content(other), KEY, HELLO)
        assert put(Content(plain), KEY, HELLO)
    assert isinstance(locks_of(other), PidLocks)
    assert not isinstance(locks_of(plain), PidLocks)
