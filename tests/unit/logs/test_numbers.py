"""Numbers as git-annex was seen to read them from maxsize.log and numcopies.log."""

from __future__ import annotations

import pytest

from annexshell.logs.numbers import lenient_integer, lenient_word
from tests.support.rows import each_of

VECTORS: list[tuple[bytes, int | None]] = [
    (b"0x10", 16),
    (b"100k", 100),
    (b" 100", 100),
    (b"-5", -5),
    (b"1.5", None),
    (b"1e3", None),
    (b"", None),
    (b"(8)", 8),
    (b"( 3 )", 3),
    (b"(\t3 )", 3),
    (b"0o17", 15),
    (b"0O17", 15),
    (b"0XfF", 255),
    (b"+5", None),
    (b"- 5", -5),
    (b"5.", 5),
    (b"5e", 5),
    (b"0b11", 0),
    (b"0xZ", 0),
    (b"0x", 0),
    (b"\\t7", None),
    (b"1_000", 1),
    (b"((4))x", 4),
    (b"(5", None),
    (b"((4", None),
    (b"5,3", 5),
    (b"5 3", 5),
    (b"5-3", 5),
    (b"5--3", 5),
    (b"5#", 5),
    (b"5.a", 5),
    (b"(-6)", -6),
    (b"-(6)", None),
    (b"--5", None),
    (b"5E3", None),
    (b"5e-2", None),
    (b"05", 5),
    (b"5\xff", 5),
    (b"5\xc3\xa9", 5),
    (b"(5)6", 5),
    (b"\xc2\xa05", 5),
    (b"5)", 5),
    (b"-0", 0),
    (b"0x10.5", 16),
    (b"5'", 5),
    (b"99999999999999999999999999999999999999", 10**38 - 1),
]


@each_of(VECTORS)
def test_whole_numbers(text: bytes, number: int | None) -> None:
    assert lenient_integer(text) == number


@each_of(
    [
        (b"3", 3),
        (b"-3", -3),
        (b"3.5", None),
        (b"18446744073709551619", 3),
        (b"-18446744073709551611", 5),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", -(2**63)),
        (b"0x1" + b"0" * 5000 + b"7", 7),
        (b"9" * 5000, -1),
        (b"0o" + b"7" * 5000, -1),
    ],
)
def test_words_wrap_around(text: bytes, number: int | None) -> None:
    assert lenient_word(text) == number


def test_numbers_that_python_would_not_read() -> None:
    assert lenient_integer(b"9" * 5000) == 10**300
    assert lenient_integer(b"-0x" + b"f" * 5000) == -(10**300)
    assert lenient_integer(b"0" * 5000 + b"7") == 7


@pytest.mark.parametrize("text", [b"(" * 300_000, b" " * 300_000, b"-" * 300_000])
def test_a_line_that_is_all_prefix(text: bytes) -> None:
    assert lenient_integer(text) is None


def test_many_parentheses() -> None:
    deep = 100_000
    assert lenient_integer(b"(" * deep + b"4" + b" )" * deep) == 4
    assert lenient_integer(b"(" * deep + b"4" + b" )" * (deep - 1)) is None
