"""numcopies.log: what git-annex was seen to make of it, spec 03 §3.4 and §4.4."""

from __future__ import annotations

from annexshell.logs.numcopies import numcopies
from tests.support.rows import each_of


@each_of(
    [
        (b"", None),
        (b"1s 3\n", 3),
        (b"1s  3", 3),
        (b"1s 3 4\n", 3),
        (b"1s foo\n", None),
        (b"5s foo\n4s 9\n", 9),
        (b"3\n", None),
        (b"x 3\n", None),
        (b"1s 0\n", 1),
        (b"1s -3\n", 1),
        (b"5s 2\n5s 3\n", 3),
        (b"5s 3\n5s 2\n", 3),
        (b"5s 3\n4s 9\n", 3),
        (b"1s 99999999999999999999999999\n", 1),
    ],
)
def test_the_number_that_counts(content: bytes, number: int | None) -> None:
    assert numcopies(content) == number
