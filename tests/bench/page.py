"""docs/benchmarks.md, made from the results of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from tests.bench import prose
from tests.bench.results import Comparison, Results
from tests.bench.table import figure, quartiles
from tests.bench.targets import TARGETS, Target, Verdict, target_of, verdicts

_MIB = 1 << 20
_UNITS = {"wall": ("ms", 1e3), "cpu": ("ms", 1e3), "peak": ("MiB", 1 / _MIB)}
_TITLES = {"wall": "wall", "cpu": "processor", "peak": "memory"}


def write(results: Results, page: Path) -> None:
    """Write the page; the notes it has already are kept."""
    notes = kept_notes(page.read_text()) if page.exists() else prose.NO_NOTES
    page.write_text(text(results, notes))


def kept_notes(old: str) -> str:
    """What stands below the last heading of a page, which people write."""
    _, found, notes = old.partition(f"\n{prose.NOTES_HEADING}\n")
    return notes.strip() if found else prose.NO_NOTES


def text(results: Results, notes: str) -> str:
    """The whole page."""
    parts = [
        prose.INTRODUCTION,
        "\n".join(_summary(results)),
        prose.HOW_TO_READ,
        "\n".join(_machine(results)),
        *_groups(results),
        prose.HOW_IT_IS_MEASURED,
        f"{prose.NOTES_HEADING}\n\n{notes}\n",
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _summary(results: Results) -> Iterator[str]:
    found = [one for each in results.comparisons for one in verdicts(each)]
    missed = [one for one in found if not one.met]
    yield f"## Targets\n\n{len(found) - len(missed)} of {len(found)} met."
    judged = {one.target for one in found}
    unjudged = [target for target in TARGETS if target not in judged]
    if unjudged:
        yield "Not measured in this run: " + "; ".join(map(_named, unjudged)) + "."
    if missed:
        yield "\n| missed | | is | may be | over by |\n| --- | --- | --- | --- | --- |"
        yield from map(_missed, missed)


def _named(target: Target) -> str:
    what = f"{target.row} ({_TITLES[target.quantity]}"
    return f"{target.group}: {what}, {' or '.join(target.subjects)})".replace("*", "…")


def _missed(one: Verdict) -> str:
    at = one.comparison
    over = (one.median / one.target.most - 1) * 100
    what = _TITLES[one.target.quantity]
    cells = (f"{at.row}: {at.subject}", what, figure(one.median), f"{one.target.most}")
    return f"| {' | '.join(cells)} | {over:.0f} % |"


def _machine(results: Results) -> Iterator[str]:
    yield "## Where\n\n| | |\n| --- | --- |"
    for name, value in results.machine.items():
        yield f"| {name} | {value} |"
    told = ", ".join(f"{name} {value}" for name, value in results.options.items())
    yield f"\nAmounts (MiB, MB for `file`, numbers): {told}."


def _groups(results: Results) -> Iterator[str]:
    for group, members in groupby(results.comparisons, lambda one: one.group):
        rows = list(members)
        yield "\n".join(_table(group, rows))
        if group == "Large content":
            yield from _hashing(results, rows)


def _table(group: str, rows: Sequence[Comparison]) -> Iterator[str]:
    """One line for each comparison; a column only for what was measured."""
    columns = [q for q in _UNITS if any(one.ratio(q) for one in rows)]
    titles = [f"{_TITLES[quantity]} | {_UNITS[quantity][0]}" for quantity in columns]
    share = any(one.ratio("share") for one in rows)
    titles += ["share"] if share else []
    yield f"## {group}\n\n| | | {' | '.join(titles)} |"
    yield "| --- " * (2 + 2 * len(columns) + share) + "|"
    for one in rows:
        cells = [cell for quantity in columns for cell in _cells(one, quantity)]
        found = one.ratio("share")
        cells += [figure(found.median) if found else ""] if share else []
        beside = "" if one.reference == "git-annex-shell" else f" / {one.reference}"
        yield f"| {one.row} | {one.subject}{beside} | {' | '.join(cells)} |"


def _cells(one: Comparison, quantity: str) -> tuple[str, str]:
    """The ratio with its verdict, and what both took."""
    found = one.ratio(quantity)
    if found is None:
        return "", ""
    ours, theirs = (figure(_UNITS[quantity][1] * v) for v in one.medians(quantity))
    target, judged = target_of(one, quantity), ""
    if target is not None:
        word = "met" if found.median <= target.most else "missed"
        judged = f" **{word}** (≤ {target.most})"
    return quartiles(found).replace("-", " to ") + judged, f"{ours} / {theirs}"


def _hashing(results: Results, rows: Sequence[Comparison]) -> Iterator[str]:
    """How much of a PUT is hashing, which nobody can leave out."""
    speed = re.match(r"([\d.]+) GB/s", results.machine.get("SHA-256, one core", ""))
    size = results.options.get("large", "")
    if speed is None or not float(speed[1]) or not size.isdigit():
        return
    seconds = int(size) * _MIB / (float(speed[1]) * 1e9)
    lines = [prose.HASHING.format(seconds=seconds, size=size)]
    for row in dict.fromkeys(one.row for one in rows if one.row.startswith("PUT")):
        theirs = next(one.medians("cpu")[1] for one in rows if one.row == row)
        lines.append(f"- {row}: floor {figure(seconds / theirs)}")
    yield "\n".join(lines)
