"""What must hold: the most that ratios of medians may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

from tests.bench.results import Comparison

WARM, COLD = "annexshell, warm", "annexshell, cold"
_NO_FSYNC = (f"{WARM}, no fsync", f"{COLD}, no fsync")


@dataclass(frozen=True)
class Target:
    """The most that a ratio may be, for some rows (a pattern) and subjects (names)."""

    group: str
    row: str
    subjects: tuple[str, ...]
    quantity: str
    most: float


TARGETS = (
    Target("Large content", "GET*", (WARM,), "cpu", 0.25),
    Target("Large content", "GET*", (WARM,), "wall", 0.6),
    Target("Large content", "PUT, cluster*", (WARM,), "cpu", 0.25),
    Target("Large content", "PUT, [lp]*", (WARM,), "cpu", 0.35),
    Target("Large content", "PUT*", (WARM,), "wall", 0.5),
    Target("Large content", "*", (WARM,), "peak", 0.8),
    Target("Small operations", "*", (WARM, COLD), "wall", 1.0),
    Target("Small operations", "*", _NO_FSYNC, "wall", 0.7),
    Target("Start", "first answer, local", (WARM,), "wall", 3.0),
    Target("Start", "first answer, [pc]*", (WARM,), "wall", 1.0),
    Target("Real client", "one file*", ("annexshell, proxied",), "wall", 1.02),
)


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured."""

    target: Target
    comparison: Comparison
    median: float

    @property
    def met(self) -> bool:
        return self.median <= self.target.most


def target_of(comparison: Comparison, quantity: str) -> Target | None:
    """The target for one quantity of a comparison; the first that fits."""
    for target in TARGETS:
        if (
            quantity == target.quantity
            and comparison.group == target.group
            and comparison.subject in target.subjects
            and fnmatch(comparison.row, target.row)
            and _against_the_right(comparison)
        ):
            return target
    return None


def _against_the_right(comparison: Comparison) -> bool:
    """A client's proxied get is judged by the direct one, all else by the other program."""
    direct = comparison.reference.endswith(", direct")
    return direct == (comparison.group == "Real client")


def verdicts(comparison: Comparison) -> Iterator[Verdict]:
    """All targets of a comparison whose quantity was measured."""
    for quantity in ("wall", "cpu", "peak"):
        target, found = target_of(comparison, quantity), comparison.ratio(quantity)
        if target is not None and found is not None:
            yield Verdict(target, comparison, found.median)
