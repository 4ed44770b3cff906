"""Measuring whole programs: wall clock, processor time of the process tree, peak memory."""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.session import Session


@dataclass(frozen=True)
class Cost:
    """What one run took: seconds by the clock, seconds of processor, bytes at the peak."""

    wall: float
    cpu: float
    peak: int


Run = Callable[[str], Session]
Once = Callable[[str], list[Cost]]
"""Runs a program once; one cost for each thing measured in that run."""
_TICK = os.sysconf("SC_CLK_TCK")
_CPU_CLOCK = 2
"""Linux's clocks of the processor time of a process: its inverted pid and this."""


def children_cpu() -> float:
    """Processor seconds of all our ended descendants that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(open_session: Run, program: str, work: Callable[[Session], None]) -> Cost:
    """The cost of starting a program, working with it, and seeing it end."""
    cpu = children_cpu()
    begun = time.perf_counter()
    with open_session(program) as session:
        work(session)
        peak = session.memory_peak() if session.process.poll() is None else 0
        session.end()
        wall = time.perf_counter() - begun
    return Cost(wall, children_cpu() - cpu, peak)


def tree_cpu(pid: int) -> float:
    """Processor seconds of a running process, of its children, and of those that ended."""
    process = Path(f"/proc/{pid}")
    stat = (process / "stat").read_text().rpartition(")")[2].split()
    ended = (int(stat[13]) + int(stat[14])) / _TICK
    children = [
        int(child)
        for task in process.glob("task/*/children")
        for child in task.read_text().split()
    ]
    own = time.clock_gettime((~pid << 3) | _CPU_CLOCK)
    return own + ended + sum(map(tree_cpu, children))


def lap(session: Session, work: Callable[[Session], None]) -> Cost:
    """The cost of some work in the middle of a session."""
    cpu, begun = tree_cpu(session.pid), time.perf_counter()
    work(session)
    wall = time.perf_counter() - begun
    return Cost(wall, tree_cpu(session.pid) - cpu, session.memory_peak())


def interleaved(
    programs: dict[str, str], times: int, once: Once
) -> dict[str, list[list[Cost]]]:
    """Run all programs in turn, again and again, so that both see the same machine."""
    costs: dict[str, list[list[Cost]]] = {name: [] for name in programs}
    for program in programs.values():
        once(program)  # fills caches: of the disk, and of compiled Python
    for _ in range(times):
        for name, program in programs.items():
            costs[name].append(once(program))
    return costs


def medians(runs: list[list[Cost]]) -> list[Cost]:
    """For each thing measured, the medians over all runs."""
    return [
        Cost(
            statistics.median(cost.wall for cost in costs),
            statistics.median(cost.cpu for cost in costs),
            int(statistics.median(cost.peak for cost in costs)),
        )
        for costs in zip(*runs, strict=True)
    ]
