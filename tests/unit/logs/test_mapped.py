"""Logs of values by uuid or name: the vectors of spec 03 §3.3, §3.4 and §4.2."""

from __future__ import annotations

import pytest

from annexshell.logs.mapped import (
    Form,
    Trust,
    descriptions,
    parse_map,
    trust_levels,
    with_description,
    with_value,
)
from annexshell.model.clock import SECOND, Clock
from annexshell.model.ids import UUID

U = UUID(b"u1")
NOW = Clock(9 * SECOND)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"u1 a timestamp=5s", b"a"),
        (b"u1 a timestamp=3s timestamp=5s", b"a timestamp=3s"),
        (b"u1  timestamp=5s", b""),
        (b"u1 timestamp=5s", b""),
        (b"u1  two  spaces  timestamp=5s", b" two  spaces "),
        (b"u1 a timestamp=5s junk", b"a timestamp=5s junk"),
        (b"u1 a timestamp=xx", b"a timestamp=xx"),
        (b"u1", b""),
        (b"u1 noclock", b"noclock"),
    ],
)
def test_old_lines(line: bytes, value: bytes) -> None:
    assert descriptions(line + b"\n") == {U: value}


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        (b"u1 a timestamp=5s\nu1 b timestamp=5s\n", b"b"),
        (b"u1 b timestamp=6s\nu1 a timestamp=5s\n", b"b"),
        (b"u1 a timestamp=-5s\nu1 b\n", b"a"),
        (b"u1 a\nu1 b\n", b"b"),
    ],
)
def test_which_line_wins(text: bytes, winner: bytes) -> None:
    assert descriptions(text) == {U: winner}


def test_new_lines_need_the_space_before_the_value() -> None:
    found = parse_map(b"1s a \n2s b\n3s c d e\nx a b\n5s  y\n", Form.NEW)
    assert {field: entry.value for field, entry in found.items()} == {
        b"a": b"",
        b"c": b"d e",
    }


def test_the_last_of_equal_new_lines_wins() -> None:
    text = b"5s annex.largefiles a\n5s annex.largefiles b\n"
    assert parse_map(text, Form.NEW)[b"annex.largefiles"].value == b"b"


def test_rewriting_keeps_unknown_clocks_and_drops_what_lost() -> None:
    old = b"zz bad timestamp=xx\nu2\nu1 x timestamp=3\nu1 y timestamp=12s\n"
    assert with_description(old, U, b"foo", NOW) == (
        b"u1 foo timestamp=13s\nu2 \nzz bad timestamp=xx\n"
    )


def test_an_empty_value_takes_two_spaces() -> None:
    assert with_value(b"", Form.OLD, U, b"", NOW) == b"u1  timestamp=9s\n"
    assert with_value(b"", Form.NEW, U, b"", NOW) == b"9s u1 \n"


def test_a_value_that_is_set_already_is_no_change() -> None:
    assert with_value(b"u1 a timestamp=5s\n", Form.OLD, U, b"a", NOW) is None


def test_line_ends_in_a_description_are_spelled_out() -> None:
    assert with_description(b"", U, b"a\nb", NOW) == b"u1 a\\nb timestamp=9s\n"


@pytest.mark.parametrize("field", [b"", b"a b", b"a\nb"])
def test_a_field_that_no_line_can_hold_is_refused(field: bytes) -> None:
    with pytest.raises(ValueError):
        with_value(b"", Form.NEW, field, b"v", NOW)


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (b"1", Trust.TRUSTED),
        (b"0", Trust.UNTRUSTED),
        (b"?", Trust.SEMITRUSTED),
        (b"X", Trust.DEAD),
        (b"", Trust.TRUSTED),
        (b"z", Trust.SEMITRUSTED),
    ],
)
def test_trust(value: bytes, level: Trust) -> None:
    assert trust_levels(b"u1 " + value + b" timestamp=1s\n") == {U: level}


def test_a_trust_line_with_a_long_value_is_skipped_alone() -> None:
    text = b"u1 X timestamp=1s\nu1 10 timestamp=2s\n"
    assert trust_levels(text) == {U: Trust.DEAD}
