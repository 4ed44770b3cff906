"""Globs as git-annex reads them: turned into a regular expression, then parsed as one.

Both steps are needed, since the first has accidents that the second gives a meaning
(spec 04 §3.4): it takes a bracket to end at the first ``]`` even within ``[[:space:]]``,
and puts a backslash before what is no letter or digit, which is how the four of
`Assertion` become assertions, and how a backslash gets into a bracket.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import NamedTuple

Ranges = tuple[tuple[int, int], ...]
"""Code points, ends included, sorted and apart from each other."""

LAST = 0x10FFFF
NOT_NEWLINE: Ranges = ((0, 9), (11, LAST))


class Assertion(Enum):
    """What matches a place and no character."""

    END = "'"
    START = "`"
    WORD_START = "<"
    WORD_END = ">"


class One(NamedTuple):
    """One character, or with ``repeat`` as many as there are but at least one."""

    ranges: Ranges
    repeat: bool = False


class Star(NamedTuple):
    """Any characters but line ends."""


Item = One | Star | Assertion

_TOKEN = re.compile(r"\[([!^]?)([^\]]*)(\]?)|(\*+)|(.)", re.DOTALL)


def translate(glob: str, *, path: bool) -> str:
    """The regular expression, without the ``^`` and ``$`` around it."""
    return "".join(_translated(found, path) for found in _TOKEN.finditer(glob))


def _translated(found: re.Match[str], path: bool) -> str:
    negated, content, closed, stars, other = found.groups()
    if other is None:
        if stars:
            return ".*" * len(stars)
        inner = content.replace("\\", "\\\\")
        return f"[{'^' if negated else ''}{inner}{closed}"
    if other == "?":
        return "."
    if path and other in "/\\":
        return f"[{other}]+"
    return other if other.isalnum() else "\\" + other


_CLASSES = {
    "alnum": "09AZaz",
    "alpha": "AZaz",
    "blank": "\t\t  ",
    "cntrl": "\0\x1f\x7f\x7f",
    "digit": "09",
    "graph": "!~",
    "lower": "az",
    "print": " ~",
    "punct": "!/:@[`{~",
    "space": "\t\r  ",
    "upper": "AZ",
    "word": "09AZ__az",
    "xdigit": "09AFaf",
}
_NAMED = re.compile(r"\[:([^\]:]*):\]|\[=([^\]=]+)=\]|\[\.([^\].]+)\.\]")
_ELEMENT = re.compile(r"(.)(?:-([^\]]))?", re.DOTALL)


def parse(regex: str) -> list[Item] | None:
    """The parts of what `translate` gives; None if it cannot be compiled."""
    items: list[Item] = []
    at = 0
    while at < len(regex):
        char = regex[at]
        if char == "[":
            bracket = _bracket(regex, at + 1)
            if bracket is None:
                return None
            ranges, at = bracket
            repeat = regex.startswith("+", at)
            items.append(One(ranges, repeat))
            at += repeat
            continue
        star = regex.startswith(".*", at)
        escaped = char == "\\"
        items.append(Star() if star else _single(regex[at : at + 2]))
        at += 2 if star or escaped else 1
    return items


def _single(text: str) -> Item:
    if text[0] == ".":
        return One(NOT_NEWLINE)
    char = text[-1] if text[0] == "\\" else text[0]
    if char in "'`<>":
        return Assertion(char)
    return One(((ord(char), ord(char)),))


def _bracket(regex: str, at: int) -> tuple[Ranges, int] | None:
    """The characters of the bracket that starts before ``at``, and where it ends."""
    negated = regex.startswith("^", at)
    at += negated
    first = at
    found: list[tuple[int, int]] = []
    while at == first or not regex.startswith("]", at):
        named = _NAMED.match(regex, at)
        element = named or _ELEMENT.match(regex, at)
        if element is None:
            return None
        at = element.end()
        if named:
            found += _named(named)
            continue
        low, high = ord(element[1]), ord(element[2] or element[1])
        if high < low:
            return None
        found.append((low, high))
    ranges = merged(found)
    return complement(ranges) if negated else ranges, at + 1


def _named(found: re.Match[str]) -> Iterator[tuple[int, int]]:
    """A class, or the characters of an equivalence; collating elements mean nothing."""
    ends = _CLASSES.get(found[1] or "", "")
    yield from ((ord(a), ord(b)) for a, b in zip(ends[::2], ends[1::2]))
    yield from ((ord(char), ord(char)) for char in found[2] or "")


def merged(ranges: list[tuple[int, int]]) -> Ranges:
    """The same characters in ranges that are sorted and apart from each other."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    """All other characters but the line end."""
    excluded = merged([*ranges, (10, 10)])
    starts = [0, *(high + 1 for _, high in excluded)]
    ends = [*(low - 1 for low, _ in excluded), LAST]
    return tuple((low, high) for low, high in zip(starts, ends) if low <= high)


def fold(ranges: Ranges) -> Ranges:
    """The characters with those that differ from them only in case."""
    found = list(ranges)
    for low, high in ranges:
        for code, other in _cases() if high > 127 else _ASCII_CASES:
            if low <= code <= high:
                found.append((other, other))
    return merged(found)


def _pairs(codes: range) -> tuple[tuple[int, int], ...]:
    """Code points with what they become in the other case, if that is one character."""
    return tuple(
        (code, ord(other))
        for code in codes
        for other in {chr(code).lower(), chr(code).upper()} - {chr(code)}
        if len(other) == 1
    )


_ASCII_CASES = _pairs(range(128))


@cache
def _cases() -> tuple[tuple[int, int], ...]:
    return _pairs(range(LAST + 1))
