"""A rehearsal is a session like others, and leaves nothing behind."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import pytest

from annexshell.serve import rehearsal
from annexshell.serve import stage as staged
from tests.support.process import run
from tests.support.shell import environment


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Without the handlers of the test's own, which a process ahead has not either."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    staged.prepare(str(tmp_path.resolve()))
    return str(tmp_path.resolve())


def test_each_is_asked_and_answers(stage: str) -> None:
    told = rehearsal.rehearse(stage)
    uuids = (*staged.UUIDS.values(), staged.CLUSTER)
    rest = b"VERSION 4\nSUCCESS\n"
    assert told == [b"AUTH-SUCCESS %b\n%b" % (uuid, rest) for uuid in uuids]


def test_git_finds_the_stage_sound(stage: str, tmp_path: Path) -> None:
    for name in staged.UUIDS:
        run(["git", "fsck", "--strict"], cwd=tmp_path / name, env=environment(tmp_path))


def test_no_thread_is_needed_that_a_fork_would_lose(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr("trio.to_thread.run_sync", refused)
    assert len(rehearsal.rehearse(stage)) == 3


def test_nothing_is_left_of_it(stage: str) -> None:
    def state() -> tuple[object, ...]:
        handlers = [signal.getsignal(n) for n in (1, 2, 15)]
        written = sorted(path for path in Path(stage).rglob("*"))
        threads, files = threading.active_count(), sorted(os.listdir("/proc/self/fd"))
        return files, handlers, threads, logging.getLogger().handlers, written

    rehearsal.rehearse(stage)
    before = state()
    rehearsal.rehearse(stage)
    assert state() == before
