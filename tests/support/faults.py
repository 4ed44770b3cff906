"""Death at any step: a child process that ends just before its nth change to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

CHANGES = (
    "chmod",
    "fchmod",
    "fsync",
    "ftruncate",
    "mkdir",
    "open",
    "rename",
    "rmdir",
    "unlink",
    "write",
)
"""What may change the disk, or make a file."""

_DIED = 99
_MANY = 1000


def dies_at(step: int, action: Callable[[], object]) -> bool:
    """Run ``action`` in a child that dies before its change number ``step``, from 0.

    False if it did not take that many. No handler and no exit hook runs, as after SIGKILL.
    """
    pid = os.fork()
    if pid == 0:
        _run_and_exit(step, action)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, _DIED), "the action failed"
    return status == _DIED


def every_death(action: Callable[[], object]) -> Iterator[int]:
    """Yields after each possible death of ``action``; the caller restores what it needs."""
    for step in range(_MANY):
        if not dies_at(step, action):
            return
        yield step
    raise AssertionError("too many steps")


def _run_and_exit(step: int, action: Callable[[], object]) -> None:
    status = 1
    try:
        _arm(step)
        action()
        status = 0
    finally:
        os._exit(status)


def _arm(step: int) -> None:
    left = [step]

    def fatal(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                os._exit(_DIED)
            left[0] -= 1
            return real(*args, **kwargs)

        return call

    for name in CHANGES:
        setattr(os, name, fatal(getattr(os, name)))
