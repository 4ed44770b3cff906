"""Threads for what blocks, in turn where that is less work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")

_TURN = threading.Lock()
_PATIENCE = 0.002
"""Seconds that a thread waits for another; longer than what needs no disk."""


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work; it is waited for even if nobody wants the result any more."""
    return await trio.to_thread.run_sync(_in_turn, work)


def _in_turn(work: Callable[[], T]) -> T:
    # Two threads take the interpreter from each other at every system call, which costs
    # more than the work. Who hangs on a disk holds up nobody for long.
    mine = _TURN.acquire(timeout=_PATIENCE)
    try:
        return work()
    finally:
        if mine:
            _TURN.release()
