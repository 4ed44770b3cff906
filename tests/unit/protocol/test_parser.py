"""The parser's own duties: bounds, leftovers, going on after nonsense."""

from __future__ import annotations

import pytest

from annexshell.errors import LineTooLong, Malformed
from annexshell.protocol import messages as m
from annexshell.protocol.grammar import MAX_LINE
from annexshell.protocol.parser import Parser


def test_a_line_may_be_as_long_as_the_limit() -> None:
    parser = Parser()
    parser.feed(b"ERROR " + b"x" * (MAX_LINE - 6) + b"\n")
    assert parser.next_message() == m.Error(b"x" * (MAX_LINE - 6))


@pytest.mark.parametrize("end", [b"", b"\n", b"\nVALID\n"])
def test_one_byte_more_is_too_long(end: bytes) -> None:
    parser = Parser()
    parser.feed(b"ERROR " + b"x" * (MAX_LINE - 5) + end)
    with pytest.raises(LineTooLong):
        parser.next_message()


def test_a_line_that_is_not_complete_is_no_message() -> None:
    parser = Parser()
    parser.feed(b"VALI")
    assert parser.next_message() is None
    parser.feed(b"D\n")
    assert parser.next_message() == m.Valid()


def test_after_nonsense_the_next_line_is_read() -> None:
    parser = Parser()
    parser.feed(b"\nVALID\n")
    with pytest.raises(Malformed):
        parser.next_message()
    assert parser.next_message() == m.Valid()


def test_payload_is_handed_over_and_not_parsed() -> None:
    parser = Parser()
    parser.feed(b"DATA 6\nVALID\nINVALID\n")
    assert parser.next_message() == m.Data(6)
    assert parser.take(6) == b"VALID\n"
    assert parser.next_message() == m.Invalid()
    assert parser.take(5) == b""
