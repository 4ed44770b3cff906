"""Numbers and sizes: what git-annex was seen to make of them."""

from __future__ import annotations

import pytest

from annexshell.wanted.quantities import (
    parse_double,
    parse_number,
    parse_size,
    precise_size,
)
from tests.support.rows import each_of
from tests.support.vectors import vectors

ABSURD = ("NaN", "Infinity", "1e400", "1.7976931348623157e308")
"""git-annex makes numbers of 309 digits of them."""


def test_sizes_are_read_and_printed_as_git_annex_does() -> None:
    for text, size, printed in vectors("size_parse")["rows"]:
        if text in ABSURD:
            continue
        assert parse_size(text) == (None if size is None else int(size)), text
        if size is not None:
            assert precise_size(int(size)) == printed, text


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400])
def test_no_size_is_beyond_a_double(text: str) -> None:
    assert parse_size(text) is None


@each_of(
    [
        ("0x1k", 1000),
        ("0x1e1", 481),
        ("6.e3", 6),
        ("1e+", 10**18),
        ("1e-3kb", 1),
        ("1ee", None),
        ("1kibibytess", None),
        ("1kil", None),
        ("6é", None),
        ("1kb2", 1000),
        ("--6", None),
        ("+6", None),
        ("((5))k", 5000),
        ("(5", None),
        ("0x" + "f" * 5000, None),
    ],
)
def test_corners_of_sizes(text: str, size: int | None) -> None:
    assert parse_size(text) == size


def test_hostile_sizes_are_printed() -> None:
    assert precise_size(10**400) == "Infinity QB"
    assert precise_size(-(10**400)) == "-Infinity QB"
    assert precise_size(10**37) == "1.0e7 QB"
    assert precise_size(-5) == "-5.0 B"


@each_of(
    [
        ("1x", 1),
        ("0x10", 16),
        ("-0x10", -16),
        ("0o17", 15),
        ("0b1", 0),
        ("0x", 0),
        ("0.", 0),
        ("0.x", 0),
        ("0_1", 0),
        ("1e", 1),
        ("1e+", 1),
        ("- 5", -5),
        ("(3)", 3),
        ("1.5", None),
        ("1e3", None),
        ("0e-1", None),
        ("+0", None),
        ("--0", None),
        ("\uff10", None),
        ("NaN", None),
        ("", None),
        ("9" * 5000, -1),
        ("0x1" + "0" * 5000, 0),
    ],
)
def test_numbers(text: str, number: int | None) -> None:
    assert parse_number(text) == number


def test_numbers_of_copies_wrap_around() -> None:
    assert parse_number("18446744073709551616") == 0
    assert parse_number("9223372036854775808") == -(2**63)


@each_of(
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("(5)", 5.0),
        ("(-5)", -5.0),
        ("- 5", -5.0),
        ("1.5e-2", 0.015),
        ("0X1F", 31.0),
        ("0o17", 15.0),
        ("05", 5.0),
        ("Infinity", float("inf")),
        ("-Infinity", float("-inf")),
        ("1e400", float("inf")),
        ("0x" + "f" * 1000, float("inf")),
        ("-0x" + "f" * 1000, float("-inf")),
        ("0x" + "f" * 5000, float("inf")),
        ("0x" + "0" * 5000 + "f", 15.0),
        ("( (5 ) )", 5.0),
        ("((5)", None),
        ("5\u00a0", 5.0),
        ("5\u2028", None),
        ("5\x85", None),
        ("-(5)", None),
        ("5.", None),
        (".5", None),
        ("+5", None),
        ("0b1", None),
        ("1_0", None),
        ("5x", None),
        ("nan", None),
        ("", None),
    ],
)
def test_whole_texts_that_are_numbers(text: str, number: float | None) -> None:
    assert parse_double(text) == number
