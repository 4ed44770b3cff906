"""A rehearsal is a session like others, and leaves nothing behind."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import pytest

from annexshell.serve import rehearsal


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Without the handlers of the test's own, which a process ahead has not either."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    rehearsal.prepare(str(tmp_path.resolve()))
    return str(tmp_path.resolve())


def test_both_are_asked_and_answer(stage: str) -> None:
    local, proxied = rehearsal.rehearse(stage)
    for answer, digit in ((local, b"0"), (proxied, b"1")):
        uuid = b"00000000-0000-4000-8000-00000000000" + digit
        assert answer == b"AUTH-SUCCESS %b\nVERSION 4\nFAILURE\n" % uuid


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
