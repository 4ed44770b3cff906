"""numcopies.log: what git-annex was seen to make of it, spec 03 §3.4 and §4.4."""

from __future__ import annotations

import pytest

from annexshell.logs.numcopies import numcopies, with_numcopies
from annexshell.model.clock import SECOND, Clock
from tests.support.rows import each_of

NOW = Clock(9 * SECOND)


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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"", b"9s 2\n"),
        (b"1s 2\n", None),
        (b"20s 4\n5s 7\n", b"21s 2\n"),
        (b"20s foo\n5s 7\n", b"9s 2\n"),
        (b"20.5s 3\n20.5s 1\n", b"21.5s 2\n"),
    ],
)
def test_setting_it_leaves_one_line(old: bytes, new: bytes | None) -> None:
    assert with_numcopies(old, 2, NOW) == new


def test_what_reads_as_one_is_one() -> None:
    assert with_numcopies(b"1s (-3)\n", 1, NOW) is None


def test_no_copies_cannot_be_set() -> None:
    with pytest.raises(ValueError, match="at least one"):
        with_numcopies(b"", 0, NOW)
