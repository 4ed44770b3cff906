"""maxsize.log: what git-annex was seen to make of it, spec 03 §4.7."""

from __future__ import annotations

import pytest

from annexshell.logs.maxsize import maxsizes, with_maxsize
from annexshell.model.clock import SECOND, Clock
from annexshell.model.ids import UUID

U = UUID(b"u1")
NOW = Clock(9 * SECOND)


def test_sizes_and_lines_that_are_skipped() -> None:
    text = b"1s a 0x10\n1s b 1.5\n1s c -5\n1s d\n1s e \n1s f 7\n1s f 8\n2s f foo\n"
    assert maxsizes(text) == {b"a": 16, b"c": -5, b"f": 8}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"", b"9s u1 10\n"),
        (b"1s u1 10\n", None),
        (b"1s u1  0xa)\n", None),
        (b"20s u1 11\n", b"21s u1 10\n"),
        (b"20s u1 foo\n", b"9s u1 10\n"),
        (
            b"1.50s z 0x10\n1s b 100k\n1s c 1e3\n2s u10 (3)\n",
            b"1s b 100\n9s u1 10\n2s u10 3\n1.5s z 16\n",
        ),
    ],
)
def test_setting_one_spells_all_as_git_annex_does(
    old: bytes, new: bytes | None
) -> None:
    assert with_maxsize(old, U, 10, NOW) == new


def test_what_cannot_be_a_limit() -> None:
    with pytest.raises(ValueError, match="not negative"):
        with_maxsize(b"", U, -1, NOW)
    with pytest.raises(ValueError, match="cannot hold"):
        with_maxsize(b"", UUID(b"a b"), 1, NOW)
