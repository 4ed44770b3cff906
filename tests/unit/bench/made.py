"""Comparisons made up for tests of what is done with them."""

from __future__ import annotations

from tests.bench.contenders import THEIRS
from tests.bench.ratios import Cost
from tests.bench.results import Comparison, Results
from tests.bench.targets import WARM

MACHINE = {"Processor": "a made one", "SHA-256, one core": "2.00 GB/s (by OpenSSL)"}


def comparison(
    group: str = "Large content",
    row: str = "GET, local",
    subject: str = WARM,
    *,
    reference: str = THEIRS,
    costs: tuple[Cost, ...] = (Cost(1, 1, 8, 8),),
    base: tuple[Cost, ...] = (Cost(2, 4, 10, 10),),
) -> Comparison:
    return Comparison(group, row, subject, reference, costs, base)


def results(*comparisons: Comparison) -> Results:
    return Results(MACHINE, {"times": "3", "large": "256"}, comparisons)
