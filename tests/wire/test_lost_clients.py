"""Whole sessions whose client vanishes, or that want the same key at once.

The programs are real; their time-outs are tiny and the tests wait for what must happen.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from annexshell.repository.content import Content
from annexshell.repository.open import Repository
from tests.support.content import HERE, make_repository, object_path, tmp_path_of
from tests.support.content import sha256_key as key_of
from tests.support.process import LIMIT
from tests.support.session import Session, p2pstdio, sha256_key
from tests.support.shell import environment, shell_argv

CONTENT = os.urandom(3_000_017)
HALF = len(CONTENT) // 2
KEY = sha256_key(CONTENT)
CLIENTS = [f"c{n}c1c1c1-0000-4000-8000-000000000001" for n in range(10)]

Open = Callable[..., Session]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r")


@pytest.fixture
def opened(tmp_path: Path, repository: Repository) -> Iterator[Open]:
    """Starts sessions with settings such as ``stall="1s"``, and ends them."""
    numbers = iter(CLIENTS)
    with ExitStack() as stack:

        def start(idle: str = "never", stall: str = "never") -> Session:
            with Path(repository.path, "config").open("a") as config:
                config.write(f"[annexshell]\n\tidle-timeout = {idle}\n")
                config.write(f"\tstall-timeout = {stall}\n")
            command = p2pstdio(Path(repository.path), HERE, next(numbers))
            argv = shell_argv("-c", command)
            env = environment(tmp_path)
            session = stack.enter_context(Session(argv, cwd=tmp_path, env=env))
            assert session.hear() == b"AUTH-SUCCESS " + HERE.encode()
            assert session.ask(b"VERSION 4") == b"VERSION 4"
            return session

        yield start


def upload_half(session: Session, repository: Repository) -> None:
    """Begin to send, until half has reached the disk."""
    assert session.ask(b"PUT f " + KEY) == b"PUT-FROM 0", session.stderr
    session.write(b"DATA %d\n" % len(CONTENT) + CONTENT[:HALF])
    until(lambda: partial_size(repository) == HALF)


def partial_size(repository: Repository) -> int:
    path = tmp_path_of(repository, key_of(CONTENT))
    return path.stat().st_size if path.exists() else -1


def until(true: Callable[[], bool]) -> None:
    """Wait for what must happen, with a limit."""
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline
        os.sched_yield()


def ended(session: Session, why: str) -> None:
    """The program ends by itself, while our ends of its pipes are still open."""
    assert session.process.wait(timeout=LIMIT) == 1
    assert session.stderr.endswith(f"annexshell: {why}: ended the session\n")


def complete(session: Session) -> bytes:
    """Send the half that is missing; the answer."""
    session.write(CONTENT[HALF:])
    return session.ask(b"VALID")


def go_on(session: Session, offset: int) -> bytes:
    """Send the rest to somebody who has so much; the answer."""
    session.write(b"DATA %d\n" % (len(CONTENT) - offset) + CONTENT[offset:])
    return session.ask(b"VALID")


def test_in_the_middle_of_an_upload(opened: Open, repository: Repository) -> None:
    upload_half(lost := opened(stall="1s"), repository)
    ended(lost, "the client was silent for 1s in the middle of a payload")
    assert partial_size(repository) == HALF
    again = opened()
    assert again.ask(b"PUT f " + KEY) == b"PUT-FROM %d" % HALF
    assert go_on(again, HALF) == b"SUCCESS"


def test_in_the_middle_of_a_download(opened: Open, repository: Repository) -> None:
    assert opened().put(KEY, CONTENT) == b"SUCCESS"
    lost = opened(stall="1s")
    lost.say(b"GET 0 f " + KEY)
    ended(lost, "the client took no more bytes for 1s")
    uploads = Path(repository.annex_dir, "transfer/upload")
    assert not [path for path in uploads.rglob("*") if path.is_file()]


def test_between_requests(opened: Open) -> None:
    ended(opened(idle="1s"), "the client was silent for 1s")


def test_what_was_locked_stays_promised(opened: Open, repository: Repository) -> None:
    assert opened().put(KEY, CONTENT) == b"SUCCESS"
    lost = opened(idle="1s")
    assert lost.ask(b"LOCKCONTENT " + KEY) == b"SUCCESS"
    ended(lost, "the client was silent for 1s")
    assert opened().ask(b"REMOVE " + KEY).startswith(b"ERROR content is locked")
    assert object_path(repository, key_of(CONTENT)).exists()


def test_gits_services_end_with_it(opened: Open, repository: Repository) -> None:
    lost = opened(idle="1s")
    lost.say(b"CONNECT git-receive-pack")
    until(lambda: bool(services(repository)))
    assert lost.hear().startswith(b"DATA ")
    ended(lost, "the client was silent for 1s")
    assert services(repository) == []


def services(repository: Repository) -> list[str]:
    """The git processes that work on the repository."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if words[0].endswith(b"git") and os.fsencode(repository.path) in words:
            found.append(str(words))
    return found


def waiting(opened: Open) -> Session:
    """A second session that has begun to wait for the first."""
    second = opened()
    second.say(b"PUT f " + KEY)
    until(lambda: "waiting for another upload" in second.stderr)
    return second


def test_what_the_first_completes_the_second_need_not_send(
    opened: Open, repository: Repository
) -> None:
    upload_half(first := opened(), repository)
    second = waiting(opened)
    assert complete(first) == b"SUCCESS"
    assert second.hear() == b"ALREADY-HAVE", second.stderr
    assert second.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"


def test_what_the_first_began_the_second_completes(
    opened: Open, repository: Repository
) -> None:
    upload_half(first := opened(), repository)
    second = waiting(opened)
    first.process.kill()
    assert second.hear() == b"PUT-FROM %d" % HALF, second.stderr
    assert go_on(second, HALF) == b"SUCCESS"


def test_a_stopped_process_is_not_waited_for(
    opened: Open, repository: Repository
) -> None:
    upload_half(first := opened(), repository)
    first.process.send_signal(signal.SIGSTOP)
    second = opened(stall="1s")
    said = second.ask(b"PUT f " + KEY)
    assert said.startswith(b"ERROR transfer already in progress"), second.stderr
    assert b"from repository %s, since " % CLIENTS[0].encode() in said
    assert b"%d bytes so far" % HALF in said
    assert second.ask(b"CHECKPRESENT " + KEY) == b"FAILURE"


def test_a_waiting_client_may_leave(opened: Open, repository: Repository) -> None:
    upload_half(first := opened(), repository)
    second = waiting(opened)
    assert second.end().code == 1
    assert complete(first) == b"SUCCESS"
    assert Content(repository).present(key_of(CONTENT))


def test_many_at_once_send_it_once(opened: Open, repository: Repository) -> None:
    upload_half(first := opened(), repository)
    others = [waiting(opened) for _ in range(3)]
    first.process.kill()
    pipes = {s.process.stdout: s for s in others if s.process.stdout is not None}
    (answered, *_), _, _ = select.select(list(pipes), [], [], LIMIT)
    next_one = pipes.pop(answered)
    assert next_one.hear() == b"PUT-FROM %d" % HALF
    assert go_on(next_one, HALF) == b"SUCCESS"
    assert {session.hear() for session in pipes.values()} == {b"ALREADY-HAVE"}
