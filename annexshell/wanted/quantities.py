"""Numbers and sizes as git-annex reads and prints them (spec 04 §3.5, §3.6).

Numbers are read leniently: what follows one is ignored, unless it makes another number of
it. ``1x`` is 1 and ``0x10`` is 16, but 1.5 and 1e3 are no whole numbers.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

_SPACE = r"[\t-\r \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]*"
_START = re.compile(rf"{_SPACE}((?:\({_SPACE})*)(-?){_SPACE}")
_NUMBER = re.compile(
    r"0[xX](?P<hex>[0-9a-fA-F]+)|0[oO](?P<octal>[0-7]+)"
    r"|(?P<whole>[0-9]+)(?P<rest>(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<special>NaN|Infinity)"
)
_BLANK = re.compile(_SPACE)
_CLOSING = re.compile(rf"{_SPACE}\)")
_WORD = re.compile(rf"{_SPACE}([^\W\d_]*)")
_MAX_DIGITS = 4000
"""Python refuses to read much longer texts as whole numbers."""

_STORAGE = "bytes kilo mega giga tera peta exa zetta yotta ronna quetta".split()
_COMMITTEE = "kibi mebi gibi tebi pebi exbi zebi yobi".split()
_ABBREVIATIONS = "B kB MB GB TB PB EB ZB YB RB QB".split()


def _units() -> dict[str, float]:
    """The factor of every spelling; the first of two that are spelled alike counts."""
    found = {"": 1.0, "b": 1.0, "byte": 1.0, "bytes": 1.0}
    powers = list(enumerate(_STORAGE))[1:]
    units = [(f"{name[0]}b", f"{name}byte", 1000.0**n) for n, name in powers]
    for n, name in enumerate(_COMMITTEE, 1):
        units.append((f"{name[0]}ib", f"{name}byte", 1024.0**n))
    for n, name in powers[:8]:
        units.append((f"{name[0]}bit", f"{name}bit", 1000.0**n / 8))
    for short, name, factor in units:
        for word in (short, name, name + "s", short.removesuffix("b")):
            found.setdefault(word, factor)
    return found


_UNITS = _units()


class _Read(NamedTuple):
    """A number at the start of a text: its match, its sign, and where it ends."""

    number: re.Match[str]
    negative: bool
    end: int


def _read(text: str) -> _Read | None:
    start = _START.match(text)
    number = _NUMBER.match(text, start.end()) if start else None
    if start is None or number is None:
        return None
    end = number.end()
    for _ in range(start[1].count("(")):
        closing = _CLOSING.match(text, end)
        if closing is None:
            return None
        end = closing.end()
    return _Read(number, bool(start[2]), end)


def _whole(read: _Read) -> int | None:
    found = read.number
    digits, base = found["hex"] or found["octal"] or found["whole"], 10
    if found["hex"] or found["octal"]:
        base = 16 if found["hex"] else 8
    if found["special"] or found["rest"] or len(digits) > _MAX_DIGITS:
        return None
    return -int(digits, base) if read.negative else int(digits, base)


def parse_integer(text: str) -> int | None:
    """The whole number that ``text`` begins with, however large (spec 04 §3.6)."""
    read = _read(text)
    return None if read is None else _whole(read)


def parse_number(text: str) -> int | None:
    """As `parse_integer`, in the 64 bits that git-annex counts copies with.

    What is larger wraps around: ``18446744073709551616`` is 0.
    """
    number = parse_integer(text)
    return None if number is None else (number + 2**63) % 2**64 - 2**63


def _double(read: _Read) -> float:
    found = read.number
    if found["whole"] or found["special"]:
        return -float(found[0]) if read.negative else float(found[0])
    try:
        return float(_whole(read) or 0)
    except OverflowError:
        return -math.inf if read.negative else math.inf


def parse_double(text: str) -> float | None:
    """The number that the whole of ``text`` is, None if it is something else (§3.7)."""
    read = _read(text)
    if read is None or not _BLANK.fullmatch(text, read.end):
        return None
    return _double(read)


def parse_size(text: str) -> int | None:
    """A size in bytes, None if it is none (spec 04 §3.5). What follows it is ignored.

    It may be negative. What is too large for a double, and NaN, are refused.
    """
    read = _read(text)
    word = _WORD.match(text, read.end) if read else None
    factor = _UNITS.get(word[1].lower()) if word else None
    if read is None or factor is None:
        return None
    try:
        return round(_double(read) * factor)
    except (OverflowError, ValueError):
        return None


def precise_size(number: int) -> str:
    """The size in the largest unit that fits, as ``maxsize`` prints it (spec 04 §3.5)."""
    power = 0
    while power + 1 < len(_ABBREVIATIONS) and abs(number) >= 1000 ** (power + 1):
        power += 1
    try:
        value = number / 1000**power
    except OverflowError:
        value = math.inf if number > 0 else -math.inf
    return f"{_shown(value)} {_ABBREVIATIONS[power]}"


def _shown(value: float) -> str:
    """A double as Haskell shows it: with an exponent from ten millions on."""
    if abs(value) < 1e7 or math.isinf(value):
        return str(value).replace("inf", "Infinity")
    digits = f"{value!r}".partition("e")[0].replace(".", "")
    digits = digits.lstrip("-").strip("0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[0]}.{digits[1:] or 0}e{_exponent(value)}"


def _exponent(value: float) -> int:
    return int(f"{value:.16e}".partition("e")[2])
