"""The command line of make bench."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.rows import QUICK, Amounts


@dataclass(frozen=True)
class Options:
    """What to measure, and where results go."""

    amounts: Amounts
    only: str
    cold: bool
    page: Path | None
    json: Path | None
    plot: Path | None
    source: Path | None
    """Results of an earlier run, to be written instead of measuring."""

    @property
    def draws(self) -> bool:
        """Whether matplotlib is needed."""
        return self.page is not None or self.plot is not None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="annexshell beside git-annex-shell, in the same interleaved run",
    )
    add = parser.add_argument
    add("--only", default="*", help="rows, as a pattern of 'GROUP: ROW'")
    add("--times", type=int, help="runs of each; some rows have more, long ones fewer")
    add("--quick", action="store_true", help="fewer and smaller, for a first look")
    add("--size", type=int, help="MiB of large content")
    add("--keys", type=int, help="measure large branches too, of so many keys")
    add("--cold", action="store_true", help="without a resident process: cold sessions")
    add(
        "--write", type=Path, metavar="PAGE", help="write docs/benchmarks.md, with plot"
    )
    add("--plot", type=Path, metavar="FILE", help="draw the plot alone (svg, png, pdf)")
    add("--json", type=Path, metavar="FILE", help="write all that was measured")
    add(
        "--from",
        type=Path,
        metavar="FILE",
        dest="source",
        help="measure nothing: take what --json wrote",
    )
    return parser


def parse(words: list[str] | None = None) -> Options:
    """The options given; argparse ends the program where they make no sense."""
    told = _parser().parse_args(words)
    amounts = QUICK if told.quick else Amounts()
    given = {"times": told.times, "large": told.size, "keys": told.keys}
    amounts = replace(amounts, **{k: v for k, v in given.items() if v is not None})
    return Options(
        amounts, told.only, told.cold, told.write, told.json, told.plot, told.source
    )
