"""A rehearsal leaves nothing behind."""

from __future__ import annotations

import os
import signal
import threading

from annexshell.serve.rehearsal import rehearse


def test_nothing_is_left_of_it() -> None:
    def state() -> tuple[object, ...]:
        handlers = [signal.getsignal(n) for n in (1, 2, 15)]
        return sorted(os.listdir("/proc/self/fd")), handlers, threading.active_count()

    rehearse()
    before = state()
    rehearse()
    assert state() == before
