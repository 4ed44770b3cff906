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
from functools import lru_cache
from typing import NamedTuple

from annexshell.wanted.ranges import Ranges, complement, fold, merged


class Assertion(Enum):
    """What matches a place and no character."""

    END = "'"
    START = "`"
    WORD_START = "<"
    WORD_END = ">"


class One(NamedTuple):
    """One character of a set, or with ``repeat`` as many as there are but at least one.

    ``negated`` is the set of all others but line ends.
    """

    ranges: Ranges
    negated: bool = False
    repeat: bool = False

    def characters(self, *, ignore_case: bool) -> Ranges:
        """The set."""
        ranges = fold(self.ranges) if ignore_case else self.ranges
        if not self.negated:
            return ranges
        return complement(merged([*ranges, (_NEWLINE, _NEWLINE)]))


class Star(NamedTuple):
    """Any characters but line ends."""


Item = One | Star | Assertion

_NEWLINE = ord("\n")
_ANY = One((), negated=True)

_TOKEN = re.compile(r"\[([!^]?)([^\]]*)(\]?)|(.)", re.DOTALL)


def translate(glob: str, *, path: bool) -> str:
    """The regular expression, without the ``^`` and ``$`` around it."""
    return "".join(
        _bracketed(*bracket) if not other else _translated(other, path)
        for *bracket, other in _TOKEN.findall(glob)
    )


def _bracketed(negated: str, content: str, closed: str) -> str:
    inner = content.replace("\\", "\\\\")
    return f"[{'^' if negated else ''}{inner}{closed}"


@lru_cache(maxsize=1024)
def _translated(other: str, path: bool) -> str:
    if other == "*":
        return ".*"
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
_NAMED = re.compile(r"\[:([^\]:]+):\]|\[=([^\]=]+)=\]|\[\.([^\].]+)\.\]")
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
            item, at = bracket
            items.append(item)
            continue
        star = regex.startswith(".*", at)
        escaped = char == "\\"
        length = 2 if star or escaped else 1
        items.append(Star() if star else _single(regex[at : at + length]))
        at += length
    return items


@lru_cache(maxsize=1024)
def _single(text: str) -> Item:
    if text[0] == ".":
        return _ANY
    char = text[-1] if text[0] == "\\" else text[0]
    if char in "'`<>":
        return Assertion(char)
    return One(((ord(char), ord(char)),))


def _bracket(regex: str, at: int) -> tuple[One, int] | None:
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
    repeat = regex.startswith("+", at + 1)
    return One(merged(found), negated, repeat), at + 1 + repeat


def _named(found: re.Match[str]) -> Iterator[tuple[int, int]]:
    """A class, or the characters of an equivalence; collating elements mean nothing."""
    ends = _CLASSES.get(found[1] or "", "")
    yield from ((ord(a), ord(b)) for a, b in zip(ends[::2], ends[1::2]))
    yield from ((ord(char), ord(char)) for char in found[2] or "")
