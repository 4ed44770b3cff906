"""What running processes have used so far, read from Linux's /proc."""

from __future__ import annotations

import os
import resource
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_CPU_CLOCK = 2
"""Linux's clocks of the processor time of a process: its inverted pid and this."""


@contextmanager
def _may_end() -> Iterator[None]:
    """What is read inside may belong to a process that just ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        yield


def children(pid: int) -> list[int]:
    """The processes that a process started and has not waited for."""
    found: list[int] = []
    with _may_end():
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def tree(pid: int) -> list[int]:
    """A process, those that it started, and those that they started."""
    found = [pid]
    for member in found:  # grows while it is walked
        found += children(member)
    return found


def ended_cpu(pid: int) -> float:
    """Processor seconds of the children that a process waited for, in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICK


def own_cpu(pid: int) -> float:
    """Processor seconds of all threads of a process, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK)


def tree_cpu(pid: int) -> float:
    """Processor seconds of a running process, of its children, and of those that ended."""
    return sum(clocks(tree(pid)).values())


def clocks(pids: Iterable[int]) -> dict[int, float]:
    """For each living process: its processor seconds, and those of its ended children."""
    found = {}
    for pid in pids:
        with _may_end(), suppress(OSError):  # the clock of what ended: EINVAL
            found[pid] = own_cpu(pid) + ended_cpu(pid)
    return found


def spent(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """Seconds between two readings; what is only in the later one is new."""
    return sum(value - before.get(pid, 0.0) for pid, value in after.items())


def children_cpu() -> float:
    """Processor seconds of all our ended descendants that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _kibibytes(path: Path, field: str) -> int:
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) << 10
    return 0


def peak(pids: list[int]) -> int:
    """The sum of the most memory each has held (VmHWM), in bytes; shared pages count in each."""
    total = 0
    for pid in pids:
        with _may_end():
            total += _kibibytes(Path(f"/proc/{pid}/status"), "VmHWM")
    return total


def share(pids: list[int]) -> int:
    """The sum of what each holds now (PSS), in bytes; shared pages are divided by users.

    0 where the kernel does not tell.
    """
    total = 0
    for pid in pids:
        with _may_end(), suppress(PermissionError):
            total += _kibibytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss")
    return total


def holds(pid: int, inode: int, kind: int = stat.S_IFIFO) -> bool:
    """Whether a process has a file of that inode and kind open."""
    with _may_end(), suppress(PermissionError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with _may_end():
                found = os.stat(f"/proc/{pid}/fd/{name}")
                if found.st_ino == inode and stat.S_IFMT(found.st_mode) == kind:
                    return True
    return False
