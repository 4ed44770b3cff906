"""The table of sizes as git-annex was seen to print it."""

from __future__ import annotations

from annexshell.admin.usage import HEADING, Usage, rough_size
from annexshell.model.ids import UUID
from tests.support.rows import each_of


@each_of(
    [
        (0, "0 B"),
        (950, "950 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1499, "1 kB"),
        (1500, "2 kB"),
        (2500, "2 kB"),
        (3500, "4 kB"),
        (999_499, "999 kB"),
        (999_500, "1000 kB"),
        (10_500, "10 kB"),
        (11_500, "12 kB"),
        (-5, "-5 B"),
        (-1500, "-2 kB"),
        (1_500_000_000_000, "2 TB"),
        (5 * 10**34, "50000 QB"),
    ],
)
def test_rough_sizes(size: int, text: str) -> None:
    assert rough_size(size) == text


def use(size: int, maxsize: int | None, name: str = "") -> Usage:
    return Usage(UUID(b"u1"), name, "", False, size, maxsize)


@each_of(
    [
        (0, None, ""),
        (0, 0, "0%"),
        (1, 0, ">100%"),
        (0, -5, ">100%"),
        (1001, 1000, ">100%"),
        (1000, 1000, "100%"),
        (995, 1000, "100%"),
        (994, 1000, "99%"),
        (3, 200, "2%"),
        (1, 200, "0%"),
        (1, 8, "12%"),
        (3, 8, "38%"),
        (1, 10**300, "0%"),
        (10**300 - 1, 10**300, "100%"),
    ],
)
def test_how_full(size: int, maxsize: int | None, full: str) -> None:
    assert use(size, maxsize).full == full


def test_rows_stand_below_the_heading() -> None:
    assert [
        HEADING,
        use(950, 1000, "n2").line(exact=False),
        use(0, None).line(exact=False),
        use(12345678901, 5, "x").line(exact=True),
    ] == [
        "   size maxsize  %full  repository",
        "  950 B    1 kB    95%  u1 -- n2",
        "    0 B                 u1",
        "12345678901       5  >100%  u1 -- x",
    ]
