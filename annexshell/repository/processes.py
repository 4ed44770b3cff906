"""The process that holds a lock: whether it lives, and what it is (Linux: from /proc)."""

from __future__ import annotations

import os
import time

from annexshell.errors import printable

_LONGEST = 60
_STATE, _STARTED = 0, 19
"""Where a process's state, and its start in ticks since the boot, are in its stat."""
_ENDED = frozenset((b"Z", b"X"))
_DOUBT = 60.0
"""Seconds by which a file server's clock, which dates files, may differ from ours."""


def described(pid: int) -> str:
    """``process 12 (git-annex get x)``, and whether it is suspended.

    A number that no process here has belongs to another host, or its process just ended.
    """
    try:
        words = _read(pid, "cmdline").replace(b"\0", b" ").strip()
        stat = _read(pid, "stat")
    except OSError:
        return f"process {pid} (not running on this host)"
    name = printable(words or stat.partition(b"(")[2].rpartition(b")")[0])
    if len(name) > _LONGEST:
        name = name[:_LONGEST] + "..."
    state = stat.rpartition(b")")[2].split()[:1]
    if state in ([b"T"], [b"t"]):
        return f"process {pid} ({name}), which is suspended (kill -CONT {pid} wakes it)"
    return f"process {pid} ({name})"


def is_maker(pid: int, path: str) -> bool:
    """Whether the process lives, and did so when the file at ``path`` was written.

    A number is given away again: to a process that is younger than the file, which cannot
    have written it. Where the times cannot be told it counts as the maker.
    """
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # Another user's lives too.
    try:
        told = _told(pid)
        if told[_STATE] in _ENDED:
            return False  # Whoever started it has not asked how it ended.
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        started = booted + int(told[_STARTED]) / os.sysconf("SC_CLK_TCK")
        return started <= os.lstat(path).st_mtime + _DOUBT
    except (OSError, ValueError, IndexError):
        return True


def _told(pid: int) -> list[bytes]:
    """What the kernel says of a process, behind its name."""
    return _read(pid, "stat").rpartition(b")")[2].split()


def _read(pid: int, what: str) -> bytes:
    with open(f"/proc/{pid}/{what}", "rb") as file:
        return file.read(4096)
