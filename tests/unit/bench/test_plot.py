"""What is drawn where; that it is drawn needs matplotlib, which only the bench installs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.plot import draw, label_of, limits, style_of
from tests.bench.ratios import Cost
from tests.bench.targets import COLD, WARM
from tests.support.rows import each_of
from tests.unit.bench.made import comparison, results

DIRECT, PROXIED = "annexshell, direct", "annexshell, proxied"
THEIRS = "git-annex-shell"


@each_of(
    [
        (WARM, THEIRS, "usual", "R"),
        (COLD, THEIRS, "cold", "R"),
        (f"{WARM}, no fsync", THEIRS, "no fsync", "R"),
        (f"{COLD}, no fsync", THEIRS, "no fsync", "R"),
        (PROXIED, DIRECT, "usual", "R, proxied to direct"),
        (f"{THEIRS}, proxied", f"{THEIRS}, direct", "theirs", "R, proxied to direct"),
        (DIRECT, f"{THEIRS}, direct", "usual", "R, direct"),
    ]
)
def test_styles_and_labels(
    subject: str, reference: str, style: str, label: str
) -> None:
    one = comparison("G", "R", subject, reference=reference)
    assert (style_of(one), label_of(one)) == (style, label)


def test_the_axis_holds_every_spread_and_one() -> None:
    costs = (Cost(0.01, 40), Cost(0.01, 40))
    low, high = limits([comparison(costs=costs, base=(Cost(1, 1),) * 2)])
    assert low < 0.01 and high > 40
    low, high = limits([])
    assert low < 1 < high


def test_it_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="make .venv/.bench installs matplotlib")
    made = results(
        comparison(), comparison("Real client", "R", PROXIED, reference=DIRECT)
    )
    for name in ("plot.svg", "again.svg", "plot.png"):
        draw(made, tmp_path / name)
    first = (tmp_path / "plot.svg").read_bytes()
    assert first.startswith(b"<?xml") and first == (tmp_path / "again.svg").read_bytes()
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
