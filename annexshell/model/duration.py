"""Lengths of time: as settings spell them, as people read them, and what work may take."""

from __future__ import annotations

import math

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_DIGITS = 9

SLOWEST = 20_000_000
"""Bytes a second that the slowest machine still hashes, copies or syncs (a small NAS)."""


def parse_duration(text: str) -> float | None:
    """Seconds; ``0`` and ``never`` are infinite, what is no duration is None.

    A whole number of seconds, or one with the unit s, m, h or d.
    """
    text = text.strip().lower()
    if text == "never":
        return math.inf
    number = text.rstrip("smhd")
    factor = _UNITS.get(text[len(number) :])
    number = number.strip()
    digits = number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS
    if factor is None or not digits:
        return None
    return float(int(number) * factor) or math.inf


def spell_duration(seconds: float) -> str:
    """``seconds`` for a person: the largest unit that leaves a whole number."""
    for unit in "dhm":
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:g}s"


def time_to_hash(size: int) -> float:
    """Seconds that somebody may need to read and hash ``size`` bytes."""
    return size / SLOWEST
