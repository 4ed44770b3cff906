"""Clocks of log lines: spec 03 §3.2 and §6."""

from __future__ import annotations

import time

import pytest

from annexshell.model.clock import (
    SECOND,
    Clock,
    boot_seconds,
    bump,
    clock_now,
    format_clock,
    parse_clock,
    rank,
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b"3000", b"3000s"),
        (b"3000.500000s", b"3000.5s"),
        (b"+00012s", b"12s"),
        (b"-5.25s", b"-5.25s"),
        (b"-0.5s", b"0.5s"),
        (b"1.0000000000019", b"1.000000000001s"),
        (b"-1.0000000000019", b"-1.000000000001s"),
        (b"0.000000000001", b"0.000000000001s"),
        (b"12345678901234567890123456s", b"12345678901234567890123456s"),
        (b"1317929189.157237s", b"1317929189.157237s"),
        (b"0", b"0s"),
    ],
)
def test_a_clock_is_read_exactly_and_written_short(text: bytes, written: bytes) -> None:
    clock = parse_clock(text)
    assert clock is not None
    assert format_clock(clock) == written


@pytest.mark.parametrize(
    "text",
    [b"", b"1000.s", b"1e3", b"1000ss", b" 1000", b"1000 ", b".5", b"s", b"+", b"1\n"]
    + [b"9" * 100_000],
)
def test_what_is_no_clock(text: bytes) -> None:
    assert parse_clock(text) is None


def test_an_unknown_clock_is_older_than_a_negative_one() -> None:
    assert rank(None) < rank(Clock(-(10**40))) < rank(Clock(0))


@pytest.mark.parametrize(
    ("candidate", "newest", "expected"),
    [
        (b"2000", None, b"2000s"),
        (b"2000", b"1999.75s", b"2000s"),
        (b"2000", b"2000s", b"2001s"),
        (b"2000", b"2000.75s", b"2001.75s"),
        (b"9000", b"99999999999999999999s", b"100000000000000000000s"),
    ],
)
def test_a_new_line_is_newer_than_the_newest(
    candidate: bytes, newest: bytes | None, expected: bytes
) -> None:
    start = parse_clock(candidate)
    assert start is not None
    bumped = bump(start, None if newest is None else parse_clock(newest))
    assert format_clock(bumped) == expected


def test_the_time_now_is_in_whole_seconds() -> None:
    before = int(time.time())
    now = clock_now()
    assert now % SECOND == 0
    assert before <= now // SECOND <= int(time.time())


def test_seconds_since_boot_are_what_the_kernel_says() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert int(before) <= boot_seconds() <= time.clock_gettime(time.CLOCK_BOOTTIME)
