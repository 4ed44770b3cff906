"""What a person sees while the bench runs: one line for each comparison."""

from __future__ import annotations

from tests.bench.ratios import Spread
from tests.bench.results import Comparison
from tests.bench.targets import verdicts

_MIB = 1 << 20
_SCALES = (("wall", 1000.0), ("cpu", 1000.0), ("peak", 1 / _MIB))
"""Quantities, and what makes milliseconds or MiB of them."""

HEADER = f"{'':<58}" + "".join(
    f"  {name:>9} {'beside':>9} {'ratio (quartiles)':<20}"
    for name in ("wall ms", "cpu ms", "MiB")
)


def line(comparison: Comparison) -> str:
    """Medians of both, the median ratio and its quartiles, and what targets say."""
    name = f"{comparison.row}: {comparison.subject}"
    columns = "".join(_column(comparison, *scale) for scale in _SCALES)
    return f"{name:<58}{columns}{verdict(comparison)}".rstrip()


def _column(comparison: Comparison, quantity: str, scale: float) -> str:
    found = comparison.ratio(quantity)
    if found is None:
        return f"  {'':>9} {'':>9} {'':<20}"
    ours, theirs = (scale * value for value in comparison.medians(quantity))
    return f"  {figure(ours):>9} {figure(theirs):>9} {quartiles(found):<20}"


def figure(value: float) -> str:
    """Three digits that mean something."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def quartiles(found: Spread) -> str:
    return f"{figure(found.median)} ({figure(found.lower)}-{figure(found.upper)})"


def verdict(comparison: Comparison) -> str:
    """Which targets are missed; that all are met; or nothing where there are none."""
    found = list(verdicts(comparison))
    missed = [
        f"{one.target.quantity} {figure(one.median)} > {one.target.most}"
        for one in found
        if not one.met
    ]
    if missed:
        return "  MISSED: " + ", ".join(missed)
    return "  met" if found else ""
