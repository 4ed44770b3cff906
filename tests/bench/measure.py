"""Measuring sessions: wall clock, processor time of all their processes, peak memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.bench import processes
from tests.bench.contenders import Contender
from tests.bench.ratios import Cost
from tests.bench.resident import NoResident, Resident
from tests.support.process import LIMIT
from tests.support.session import Session, SessionHung

Work = Callable[[Session], None]
Once = Callable[[Contender], list[Cost]]
"""Runs a contender once; one cost for each thing measured in that run."""

_GLANCE = 0.0002
"""Seconds between looks at what is about to end."""


@dataclass(frozen=True)
class Row:
    """What is measured together in one run: a name for each cost of ``make()``'s runs.

    ``pairs`` are what is compared, subject before reference; ``make`` sets the scene up,
    when the row is chosen. ``runs`` are multiples of the usual number.
    """

    group: str
    names: Sequence[str]
    pairs: Sequence[tuple[Contender, Contender]]
    make: Callable[[], Once]
    runs: float = 1.0

    @property
    def contenders(self) -> list[Contender]:
        """Each of them once, by name."""
        found = {one.name: one for pair in self.pairs for one in pair}
        return list(found.values())


@dataclass(frozen=True)
class Meter:
    """Measures sessions wherever their processes are.

    A warm session is no child of what was started for it: its processor time is that of the
    launcher, of its own process, and what the resident spent in the meantime.
    """

    resident: Resident | None = None

    def members(self, contender: Contender, session: Session) -> list[int]:
        """All processes of a session. Raises NoResident if a warm one is cold."""
        found = processes.tree(session.pid)
        if contender.warm:
            assert self.resident is not None
            warm = self.resident.sessions(session)
            if not warm:
                raise NoResident(f"this session is not warm: {session.argv}")
            found += warm
        return found

    def memory(self, contender: Contender, sessions: Sequence[Session]) -> Cost:
        """What living sessions held at most and hold now; no times."""
        pids = [pid for one in sessions for pid in self.members(contender, one)]
        return Cost(0, 0, processes.peak(pids), processes.share(pids))

    def clocks(
        self, contender: Contender, session: Session | None = None
    ) -> dict[int, float]:
        """What each process of a living session has used so far, and those of the resident."""
        found = processes.clocks(processes.tree(session.pid)) if session else {}
        if contender.warm:
            assert self.resident is not None
            found |= self.resident.clocks()
        return found

    def whole(
        self, contender: Contender, start: Callable[[], Session], work: Work
    ) -> Cost:
        """The cost of starting a program, working with it, and seeing it end."""
        cpu, clocks = processes.children_cpu(), self.clocks(contender)
        begun = time.perf_counter()
        with start() as session:
            work(session)
            wall = time.perf_counter() - begun
            memory = self.memory(contender, [session])
            ending = time.perf_counter()
            last = self.see_end(contender, [session])
            wall += time.perf_counter() - ending
        used = processes.children_cpu() - cpu
        used += processes.spent(clocks, last | self.clocks(contender))
        return Cost(wall, used, memory.peak, memory.share)

    def see_end(
        self, contender: Contender, sessions: Sequence[Session]
    ) -> dict[int, float]:
        """End sessions; the last readings of what is not our child to wait for.

        Only the resident could learn exactly what its children used, so their clocks
        are read until they have ended: what is missed is less than a fall asleep.
        """
        serving: list[int] = []
        if contender.warm:
            assert self.resident is not None
            serving = [pid for one in sessions for pid in self.resident.sessions(one)]
        for session in sessions:  # all, before waiting for any
            assert session.process.stdin is not None
            session.process.stdin.close()
        last: dict[int, float] = {}
        deadline = time.monotonic() + LIMIT
        while now := processes.clocks(serving):
            last |= now
            if time.monotonic() > deadline:
                raise SessionHung(f"{self.resident} keeps {serving} alive")
            time.sleep(_GLANCE * len(serving))
        for session in sessions:
            assert session.end().code == 0, session.stderr
        return last

    def lap(self, contender: Contender, session: Session, work: Work) -> Cost:
        """The cost of some work in the middle of a session."""
        clocks, begun = self.clocks(contender, session), time.perf_counter()
        work(session)
        wall = time.perf_counter() - begun
        used = processes.spent(clocks, self.clocks(contender, session))
        memory = self.memory(contender, [session])
        return Cost(wall, used, memory.peak, memory.share)

    def since_start(
        self, contender: Contender, start: Callable[[], Session], works: Sequence[Work]
    ) -> list[Cost]:
        """The costs of a program from its start to the end of each work, one after another.

        Looking after the first adds to the later ones; that is taken off again.
        """
        clocks, begun = self.clocks(contender), time.perf_counter()
        costs: list[Cost] = []
        with start() as session:
            for work in works:
                work(session)
                wall, looking = time.perf_counter() - begun, time.perf_counter()
                used = processes.spent(clocks, self.clocks(contender, session))
                memory = self.memory(contender, [session])
                costs.append(Cost(wall, used, memory.peak, memory.share))
                begun += time.perf_counter() - looking
            assert session.end().code == 0, session.stderr
        return costs


def interleaved(
    contenders: Sequence[Contender], times: int, once: Once
) -> dict[str, list[list[Cost]]]:
    """Run all in turn, again and again, so that each sees the same machine.

    Each round begins with another one: what only the first or the last of a round feels
    falls on all alike. Every other round goes backwards, so that none always comes after
    the same one, whose writes the disk may still be busy with.
    """
    costs: dict[str, list[list[Cost]]] = {one.name: [] for one in contenders}
    for contender in contenders:
        once(contender)  # fills caches: of the disk, and of compiled Python
    for contender in _rounds(contenders, times):
        costs[contender.name].append(once(contender))
    return costs


def _rounds(contenders: Sequence[Contender], times: int) -> Iterator[Contender]:
    for first in range(times):
        step = -1 if first % 2 else 1
        for place in range(len(contenders)):
            yield contenders[(first + step * place) % len(contenders)]
