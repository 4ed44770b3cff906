"""Merging two versions of a log: the vectors of spec 03 §9.2, and §7.2."""

from __future__ import annotations

import pytest

from annexshell.logs.location import holders
from annexshell.logs.merge import complete_lines, join, union


@pytest.mark.parametrize(
    ("one", "other", "merged"),
    [
        (b"b\n", b"a\n", b"a\nb\n"),
        (b"c\nb\na\n", b"b\n", b"c\nb\na\n"),
        (b"b\n", b"c\nb\na\n", b"c\nb\na\n"),
        (b"b\nb\na\n", b"c\n", b"a\nb\nc\n"),
        (b"b", b"a\n", b"a\nb\n"),
        (b"a\nb", b"a\n", b"a\nb"),
        (b"a\r\nb\r\n", b"a\n", b"a\na\r\nb\r\n"),
        (b"", b"a\n", b"a\n"),
        (b"\nb\n", b"a\n", b"\na\nb\n"),
        (
            b"1000s 1 u\n",
            b"999s 0 u\n10s 1 v\n",
            b"1000s 1 u\n10s 1 v\n999s 0 u\n",
        ),
    ],
)
def test_union(one: bytes, other: bytes, merged: bytes) -> None:
    assert union(one, other) == merged


@pytest.mark.parametrize(
    ("content", "whole"),
    [(b"a\nb", b"a\n"), (b"a\n", b"a\n"), (b"abc", b""), (b"", b"")],
)
def test_a_broken_off_append_is_cut(content: bytes, whole: bytes) -> None:
    assert complete_lines(content) == whole


def test_a_side_that_says_it_all_is_kept_as_it_is() -> None:
    newer = b"2000s 0 u1\n1s 1 u2\n"
    older = b"1000s 1 u1\n"
    assert join(older, newer, location=True) == newer
    assert join(newer, older, location=True) == newer


def test_lines_of_both_sides_survive_and_losers_do_not() -> None:
    one, other = b"1000s 1 u1\n5s 0 u3\n", b"1001s 1 u2\n6s 1 u3\n"
    merged = join(one, other, location=True)
    assert merged == b"1000s 1 u1\n1001s 1 u2\n6s 1 u3\n"


def test_missing_wins_a_tie_between_repositories() -> None:
    assert holders(join(b"5s 1 u\n1s 1 v\n", b"5s 0 u\n", location=True)) == {b"v"}


def test_lines_that_do_not_parse_are_kept_in_a_merge() -> None:
    merged = join(b"1s Y u1\n", b"2s 1 u2\n", location=True)
    assert merged == b"2s 1 u2\n1s Y u1\n"


def test_only_location_logs_are_merged_by_meaning() -> None:
    assert join(b"1s 1 u\n", b"2s 0 u\n", location=False) == b"1s 1 u\n2s 0 u\n"
