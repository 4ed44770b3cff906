"""Globs, matched in bounded time whatever is in them and in the name (spec 04 §3.4).

Whoever can push a branch chooses globs, and who uploads chooses names. So what git-annex
hands to a regular expression engine is run here by one of two matchers that cannot
backtrack into each other:

- Most globs are a few pieces between stars, each of which can match in one way only from
  where it starts. For them Python's engine is told to keep the first match of each piece
  (an atomic group), which is the right one: a piece that ends earlier leaves more to the
  next star. That costs at most the length of the name times that of the glob.
- For the rest, and where that product is large, all ways to match are followed at once:
  bit number n of a whole number says that the first n parts of the glob can be matched
  up to here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import attrs

from annexshell.wanted.automaton import Automaton
from annexshell.wanted.brackets import Assertion, Item, One, Star, parse, translate
from annexshell.wanted.ranges import Ranges, overlap

_MOST_WORK = 1 << 20
"""Length of the name times parts of the glob; more is left to the second matcher."""

_MOST_PARTS = 200
"""Parts of a glob that Python's engine is used for; it compiles slowly."""

_LEAST = 100
"""Units of work, see `Glob.work`."""
_STEP = 1000
"""For a character that the second matcher takes."""
_COMPILING = 2000
"""Units for each part that Python's engine compiles."""
_CASED = 3000
"""About so many characters are not the same in both cases."""

_MOST_ASSERTIONS = 1000
"""What matches no character is not bounded by the length of the name."""


def compile_glob(text: str, *, path: bool, ignore_case: bool) -> Glob | None:
    """The glob, None if it cannot be compiled.

    In a ``path`` a slash and a backslash stand for one or more of them.
    """
    items = parse(translate(text, path=path))
    if items is None:
        return None
    if sum(isinstance(item, Assertion) for item in items) > _MOST_ASSERTIONS:
        return None
    return Glob(_simplified(items), ignore_case)


def _simplified(items: list[Item]) -> tuple[Item, ...]:
    """No star after a star, and of equal repetitions in a row only the last is one."""
    found: list[Item] = []
    for item in items:
        last = found[-1] if found else None
        if isinstance(item, Star) and isinstance(last, Star):
            continue
        if isinstance(item, One) and isinstance(last, One) and last.repeat:
            if item[:2] == last[:2]:
                found[-1], item = last._replace(repeat=False), last
        found.append(item)
    return tuple(found)


@attrs.frozen(slots=False)
class Glob:
    """A glob that can be matched; made by `compile_glob`."""

    items: tuple[Item, ...]
    _ignore_case: bool

    def matches(self, text: str) -> bool:
        """Whether one line of ``text`` matches as a whole."""
        if len(text) < self._shortest:
            return False
        if len(text) <= self._longest_for_regex and "\n" not in text:
            if self._regex is not None:
                return self._regex.fullmatch(text) is not None
        return self.automaton.matches(text)

    def work(self, text: str) -> int:
        """What `matches` costs at most, in the units of `Effort`."""
        if len(text) < self._shortest:
            return _LEAST
        parts = len(self.items)
        if len(text) > self._longest_for_regex:
            return _LEAST + self._weight + len(text) * (_STEP + parts // 20)
        compiling = 0 if "_regex" in self.__dict__ else _COMPILING * (parts + 10)
        each = parts // 2 + 1 if self._regex is not None else _STEP + parts // 20
        return _LEAST + compiling + self._weight + len(text) * each

    @cached_property
    def _weight(self) -> int:
        """For making what matches, and what it has to look up for each text."""
        ones = [item for item in self.items if isinstance(item, One)]
        found = sum(len(one.ranges) for one in ones) * (10 + len(self.items) // 100)
        if self._ignore_case:
            spans = (high - low for one in ones for low, high in one.ranges)
            found += sum(200 * min(span, _CASED) for span in spans)
        return found

    @cached_property
    def _shortest(self) -> int:
        return sum(isinstance(item, One) for item in self.items)

    @cached_property
    def _longest_for_regex(self) -> int:
        many = len(self.items) > _MOST_PARTS
        return -1 if many else _MOST_WORK // (len(self.items) + 1)

    @cached_property
    def _regex(self) -> re.Pattern[str] | None:
        pieces = list(_pieces(self.items, self._ignore_case))
        if not all(map(_is_plain, pieces)):
            return None
        return re.compile(_regex_of(pieces), re.DOTALL)

    @cached_property
    def automaton(self) -> Automaton:
        return Automaton(self.items, ignore_case=self._ignore_case)


class _Set(NamedTuple):
    """A set of characters, one of which matches, or one or more."""

    ranges: Ranges
    repeat: bool


Piece = list[_Set | None]
"""What stands between two stars. None is an assertion."""


def _pieces(items: tuple[Item, ...], ignore_case: bool) -> Iterator[Piece]:
    piece: Piece = []
    for item in items:
        if isinstance(item, One):
            ranges = item.characters(ignore_case=ignore_case)
            piece.append(_Set(ranges, item.repeat))
        elif isinstance(item, Star):
            yield piece
            piece = []
        else:
            piece.append(None)
    yield piece


def _is_plain(piece: Piece) -> bool:
    """Whether it can match in one way only from each place."""
    pairs = zip(piece, [*piece[1:], None])
    return None not in piece and not any(
        one and after and one.repeat and overlap(one.ranges, after.ranges)
        for one, after in pairs
    )


def _regex_of(pieces: list[Piece]) -> str:
    # What a piece before a star repeats at its end, the star can match as well.
    first = [_text(piece, until_star=True) for piece in pieces[:-1]]
    last = _text(pieces[-1], until_star=False)
    if not first:
        return last
    return first[0] + "".join(f"(?>.*?{text})" for text in first[1:]) + ".*" + last


def _text(piece: Piece, *, until_star: bool) -> str:
    found = [(_class(one.ranges), one.repeat) for one in piece if one]
    if found and until_star:
        found[-1] = (found[-1][0], False)
    return "".join(chars + "++" * repeat for chars, repeat in found)


def _class(ranges: Ranges) -> str:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return re.escape(chr(ranges[0][0]))
    inner = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
    return f"[{inner}]" if inner else r"[^\0-\U0010ffff]"
