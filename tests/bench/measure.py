"""Measuring whole programs: wall clock, processor time of the process tree, peak memory."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.session import Session


@dataclass(frozen=True)
class Cost:
    """What one run took: seconds by the clock, seconds of processor, bytes at the peak."""

    wall: float
    cpu: float
    peak: int


Run = Callable[[str], Session]


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


def interleaved(
    programs: dict[str, str], times: int, once: Callable[[str], Cost]
) -> dict[str, list[Cost]]:
    """Run all programs in turn, again and again, so that both see the same machine."""
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    for program in programs.values():
        once(program)  # fills caches: of the disk, and of compiled Python
    for _ in range(times):
        for name, program in programs.items():
            costs[name].append(once(program))
    return costs


def medians(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        int(statistics.median(cost.peak for cost in costs)),
    )
