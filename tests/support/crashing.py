"""Processes that die at the nth step of what they do, as kill -9 or a power cut would.

A step is a call that changes the disk. Dying comes before the call or right after it, so
that every state between two steps is left behind once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from annexshell.repository.git import Git

DIED = 9
_STEPS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (os, ("open", "rename", "unlink", "fsync", "mkdir")),
    (Git, ("store", "build", "commit", "swap")),
)


class Acknowledged:
    """What the dying process was told is safe, kept in a pipe."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def add(self, number: int) -> None:
        os.write(self._write, bytes([number]))

    def collect(self) -> set[int]:
        """Every number added; closes the pipe."""
        os.close(self._write)
        with open(self._read, "rb") as pipe:
            return set(pipe.read())


def _die_at(step: int, *, after: bool) -> None:
    taken = 0
    for owner, names in _STEPS:
        for name in names:
            real = getattr(owner, name)

            def counted(*args: Any, _real: Any = real, **kwargs: Any) -> Any:
                nonlocal taken
                taken += 1
                mine = taken
                if mine == step and not after:
                    os._exit(DIED)
                try:
                    return _real(*args, **kwargs)
                finally:
                    if mine == step:
                        os._exit(DIED)

            setattr(owner, name, counted)


def crashes(
    action: Callable[[int, Acknowledged], None], *, after: bool
) -> Iterator[tuple[int, set[int]]]:
    """Run ``action`` in processes that die at step 1, 2, ... until one gets through.

    Yields the step and what was acknowledged before it, for the caller to look at the
    disk. The last one yielded, at step 0, is the run that got through.
    """
    step = 0
    while True:
        step += 1
        told = Acknowledged()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                _die_at(step, after=after)
                action(step, told)
                status = 0
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, DIED), f"the process failed at step {step}"
        yield (0 if status == 0 else step), told.collect()
        if status == 0:
            return
