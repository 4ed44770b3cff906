"""Processes that programs leave behind, such as ssh's master: adopted, so that they count."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.bench import processes

_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: whoever loses its parent becomes a child of ours (Linux)."""
_LIMIT = 60_000
"""Milliseconds for one of them to end."""


class StillThere(AssertionError):
    """A process that was left behind did not end by itself."""


@contextmanager
def awaited(name: str) -> Iterator[None]:
    """After the block, wait for what programs of that name it left behind.

    So `processes.children_cpu` includes them. Others that were left behind, such as a
    resident, go on. Raises StillThere.
    """
    before = set(processes.children(os.getpid()))
    _adopt(True)
    try:
        yield
    finally:
        _adopt(False)
        for pid in set(processes.children(os.getpid())) - before:
            if _name(pid) == name:
                _see_end(pid)


def _adopt(whether: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, int(whether), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _name(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):  # it ended
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _see_end(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    try:
        watched = select.poll()
        watched.register(descriptor, select.POLLIN)
        if not watched.poll(_LIMIT):
            raise StillThere(f"{_name(pid)} ({pid}) was left behind and does not end")
    finally:
        os.close(descriptor)
    os.waitpid(pid, 0)
