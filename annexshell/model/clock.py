"""The clocks of log lines, exact, and the clock that removals are timed with.

A log line's clock is a whole number of 10^-12 seconds (spec 03 §3.2): floats would lose
digits, and a clock that changes when it is rewritten lets an old line win.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import NewType

Clock = NewType("Clock", int)
"""Picoseconds since the epoch; may be negative, may be huge."""

SECOND = 10**12
_DIGITS = 12
_MAX_DIGITS = 1000
"""No clock anybody writes has more; int() of much longer texts is refused by Python."""

_USUAL = 40
"""Bytes; longer texts are not kept."""
_KEPT = 256

_GRAMMAR = re.compile(rb"([+-]?)([0-9]+)(?:\.([0-9]+))?s?\Z")


def parse_clock(text: bytes) -> Clock | None:
    """The clock that ``text`` spells, None if it spells none.

    Digits beyond the twelfth of the fraction are cut off. ``-0.5`` reads as ``0.5``, as
    git-annex reads it.
    """
    return _short(text) if len(text) <= _USUAL else _spelled(text)


def _spelled(text: bytes) -> Clock | None:
    found = _GRAMMAR.match(text)
    if found is None or len(found[2]) > _MAX_DIGITS:
        return None
    whole = int(found[2]) * SECOND
    part = int((found[3] or b"").ljust(_DIGITS, b"0")[:_DIGITS])
    if found[1] == b"-" and whole:
        return Clock(-whole - part)
    return Clock(whole + part)


# The lines of one log, and of logs of one time, have few clocks between them.
_short = lru_cache(_KEPT)(_spelled)


def format_clock(clock: Clock) -> bytes:
    """The shortest decimal, always with the trailing ``s``."""
    whole, part = divmod(abs(clock), SECOND)
    sign = b"-" if clock < 0 else b""
    if not part:
        return b"%b%ds" % (sign, whole)
    return b"%b%d.%bs" % (sign, whole, (b"%012d" % part).rstrip(b"0"))


def clock_now() -> Clock:
    """The time now, in whole seconds as git-annex writes it (spec 03 §6)."""
    return Clock(int(time.time()) * SECOND)


def rank(clock: Clock | None) -> tuple[bool, int]:
    """What clocks are ordered by; the unknown clock is older than every other."""
    return (clock is not None, clock or 0)


def bump(candidate: Clock, newest: Clock | None) -> Clock:
    """The clock of a new line whose subject has ``newest`` already (spec 03 §6)."""
    if newest is None or newest < candidate:
        return candidate
    return Clock(newest + SECOND)


def boot_seconds() -> int:
    """Whole seconds since boot, suspended time included (spec 01 §5.5)."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return int(time.clock_gettime(clock))
