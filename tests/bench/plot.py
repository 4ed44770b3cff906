"""The plot of docs/benchmarks.md: every ratio with its spread, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.contenders import THEIRS
from tests.bench.results import Comparison, Results
from tests.bench.targets import target_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_QUANTITIES = {"wall": "wall", "cpu": "processor", "peak": "memory (peaks)"}
_STYLES = {
    "usual": ("#0072B2", "o", -0.24, "annexshell"),
    "no fsync": ("#E69F00", "s", 0.0, "annexshell, no fsync"),
    "cold": ("#CC79A7", "^", 0.24, "annexshell, cold session"),
    "theirs": ("#4D4D4D", "D", 0.24, "git-annex-shell, proxied to direct"),
}
"""Colour, shape, place within the row, and legend.

The colours are Okabe and Ito's: people see them apart whatever colours they see.
"""
_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
_ROW, _HALF = 0.3, 0.13
"""Inches for a row, and half the height of a target's bar in rows."""


def style_of(one: Comparison) -> str:
    """Which of the styles a comparison is drawn in."""
    if one.subject.startswith(THEIRS):
        return "theirs"
    last = one.subject.rpartition(", ")[2]
    return last if last in _STYLES else "usual"


def label_of(one: Comparison) -> str:
    """What stands beside the row: real clients have several for one thing."""
    if one.reference == THEIRS:
        return one.row
    subject, reference = (
        name.rpartition(", ")[2] for name in (one.subject, one.reference)
    )
    if subject == reference:
        return f"{one.row}, {subject}"
    return f"{one.row}, {subject} to {reference}"


def limits(found: Sequence[Comparison]) -> tuple[float, float]:
    """A range of ratios that holds all spreads, some room, and 1."""
    spreads = [one.ratio(quantity) for one in found for quantity in _QUANTITIES]
    kept = [spread for spread in spreads if spread is not None]
    least = min((spread.lower for spread in kept), default=1.0)
    most = max((spread.upper for spread in kept), default=1.0)
    return min(least, 0.5) / 1.3, max(most, 2.0) * 1.3


def draw(results: Results, path: Path) -> None:
    """Draw into a file whose name's end says the format (svg, png, pdf). Needs matplotlib."""
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("agg")
    groups = [
        list(members)
        for _, members in groupby(results.comparisons, lambda one: one.group)
    ]
    with pyplot.rc_context({"svg.hashsalt": "annexshell", "font.size": 9}):
        figure = pyplot.figure(
            figsize=(13, _ROW * sum(map(_height, groups)) + 1.2), layout="constrained"
        )
        axes = figure.subplots(
            len(groups),
            len(_QUANTITIES),
            height_ratios=[_height(group) for group in groups],
            sharex=True,
            sharey="row",
            squeeze=False,
        )
        for line, members in zip(axes, groups, strict=True):
            _group(line, members)
        for axis, title in zip(axes[-1], _QUANTITIES.values(), strict=True):
            axis.set_xlim(*limits(results.comparisons))
            axis.set_xlabel(f"{title}, ratio")
        used = {style_of(one) for one in results.comparisons}
        figure.legend(handles=list(_legend(used)), loc="outside upper center", ncols=6)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        pyplot.close(figure)


def _height(members: Sequence[Comparison]) -> float:
    """Of a group, in rows."""
    return len({label_of(one) for one in members}) + 1.2


def _group(line: Sequence[Axes], members: Sequence[Comparison]) -> None:
    """The panels of a group, side by side."""
    labels = list(dict.fromkeys(map(label_of, members)))
    for axis, quantity in zip(line, _QUANTITIES, strict=True):
        for number in range(1, len(labels), 2):
            axis.axhspan(number - 0.5, number + 0.5, color="#F2F2F2", zorder=0)
        axis.axvline(1, color="black", linestyle="--", linewidth=1, zorder=2)
        for one in members:
            _mark(axis, one, quantity, labels.index(label_of(one)))
        if not any(one.ratio(quantity) for one in members):
            axis.text(1.15, (len(labels) - 1) / 2, "not measured", va="center")
        axis.set_xscale("log")
        axis.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
        axis.tick_params(axis="x", which="minor", bottom=False)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x", color="#DDDDDD", linewidth=0.6, zorder=0)
    line[0].set_yticks(range(len(labels)), labels)
    line[0].set_ylim(len(labels) - 0.5, -0.5)
    line[0].set_title(members[0].group, loc="left", fontweight="bold", fontsize=10)


def _mark(axis: Axes, one: Comparison, quantity: str, row: int) -> None:
    """The median, the quartiles, and the target if there is one."""
    found = one.ratio(quantity)
    if found is None:
        return
    colour, shape, offset, _ = _STYLES[style_of(one)]
    at = row + offset
    axis.hlines(at, found.lower, found.upper, colors=colour, linewidth=2, zorder=3)
    axis.plot(found.median, at, shape, color=colour, markersize=4.5, zorder=4)
    target = target_of(one, quantity)
    if target is not None:
        axis.vlines(
            target.most, at - _HALF, at + _HALF, colors="black", linewidth=2.2, zorder=5
        )


def _legend(used: set[str]) -> Iterator[Any]:
    """Handles for the styles in use, for the threshold and for targets."""
    from matplotlib.lines import Line2D

    for name, (colour, shape, _, label) in _STYLES.items():
        if name in used:
            yield Line2D([], [], color=colour, marker=shape, linewidth=2, label=label)
    yield Line2D(
        [], [], color="black", linestyle="--", label="as much (left of it: less)"
    )
    yield Line2D(
        [], [], color="black", marker="|", linestyle="", markeredgewidth=2.2,
        markersize=8, label="target: at most",
    )  # fmt: skip
