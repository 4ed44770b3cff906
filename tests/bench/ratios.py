"""Ratios of paired runs, and how far they spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What one run took: seconds by the clock, seconds of processor, bytes at the peak.

    ``share`` is what its processes held at the end without what others hold too, in bytes.
    What was not measured is 0.
    """

    wall: float
    cpu: float = 0.0
    peak: int = 0
    share: int = 0

    def each(self, count: int) -> Cost:
        """The same for one of ``count`` requests; memory is not divided."""
        return Cost(self.wall / count, self.cpu / count, self.peak, self.share)


QUANTITIES = ("wall", "cpu", "peak", "share")


@dataclass(frozen=True)
class Spread:
    """The median of some values, their quartiles, the smallest and the largest."""

    median: float
    lower: float
    upper: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """How ``values`` spread, of which there is at least one."""
    if len(values) == 1:
        return Spread(*[values[0]] * 5)
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(middle, lower, upper, min(values), max(values))


def values(costs: Sequence[Cost], quantity: str) -> list[float]:
    """One quantity of all runs, in their order."""
    assert quantity in QUANTITIES, quantity
    return [float(getattr(cost, quantity)) for cost in costs]


def ratio(costs: Sequence[Cost], base: Sequence[Cost], quantity: str) -> Spread | None:
    """How each run compares to the one beside it; None if it was not measured in all."""
    pairs = list(zip(values(costs, quantity), values(base, quantity), strict=True))
    if not pairs or any(min(pair) <= 0 for pair in pairs):
        return None
    return spread([ours / theirs for ours, theirs in pairs])
