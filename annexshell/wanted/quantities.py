"""Numbers and sizes as git-annex reads and prints them (spec 04 §3.5, §3.6)."""

from __future__ import annotations

import math
import re

from annexshell.model.numbers import SPACE, read_number

_BLANK = re.compile(f"[{SPACE}]*")
_WORD = re.compile(rf"[{SPACE}]*([^\W\d_]*)")

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


def parse_number(text: str) -> int | None:
    """The whole number that ``text`` begins with, as git-annex counts copies (§3.6).

    That is in 64 bits, so what is larger wraps around: ``18446744073709551616`` is 0.
    """
    found = read_number(text)
    return None if found is None else found.word()


def parse_double(text: str) -> float | None:
    """The number that the whole of ``text`` is, None if it is something else (§3.7)."""
    found = read_number(text)
    if found is None or not _BLANK.fullmatch(text, found.end):
        return None
    return found.double()


def parse_size(text: str) -> int | None:
    """A size in bytes, None if it is none (spec 04 §3.5). What follows it is ignored.

    It may be negative. What is too large for a double, and NaN, are refused.
    """
    found = read_number(text)
    word = _WORD.match(text, found.end) if found else None
    factor = _UNITS.get(word[1].lower()) if word else None
    if found is None or factor is None:
        return None
    try:
        return round(found.double() * factor)
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
