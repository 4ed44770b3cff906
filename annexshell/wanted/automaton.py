"""All ways to match a glob followed at once (spec 04 §3.4).

Bit n of the state says that the first n parts are matched up to here. One character costs
a few operations on whole numbers with as many bits as the glob has parts.
"""

from __future__ import annotations

from collections.abc import Iterator

from annexshell.wanted.brackets import Assertion, Item, One, Star
from annexshell.wanted.ranges import itself, sources


class Automaton:
    """What `Glob` falls back on."""

    def __init__(self, items: tuple[Item, ...], *, ignore_case: bool) -> None:
        self._sources = sources if ignore_case else itself
        self._repeats = 0
        self._negated = 0
        self._stars = 0
        self._asserted: dict[Assertion, int] = {}
        self._changes: list[tuple[int, int]] = []
        part = 0
        for item in items:
            if isinstance(item, Star):
                self._stars |= 1 << part
                continue
            if isinstance(item, Assertion):
                self._asserted[item] = self._asserted.get(item, 0) | 1 << part
            else:
                self._repeats |= item.repeat << part
                self._negated |= item.negated << part
                self._changes += _changes(item, part)
            part += 1
        self._accepting = 1 << part
        self._changes.sort()

    def matches(self, text: str) -> bool:
        """Whether one line of ``text`` matches as a whole."""
        takes = self._takes(text)
        state = 1
        for at, char in enumerate(text):
            state = self._pass_assertions(state, text, at)
            if char == "\n" and state & self._accepting:
                return True
            taken = (state | ((state >> 1) & self._repeats)) & takes[char]
            state = (taken << 1) | (1 if char == "\n" else state & self._stars)
        state = self._pass_assertions(state, text, len(text))
        return bool(state & self._accepting)

    def _pass_assertions(self, state: int, text: str, at: int) -> int:
        """The state with the parts that hold at this place behind it."""
        holding = 0
        for assertion, parts in self._asserted.items():
            if _holds(assertion, text, at):
                holding |= parts
        # The carry of the addition runs through parts in a row.
        return state | ((holding + (state & holding)) ^ holding)

    def _takes(self, text: str) -> dict[str, int]:
        """The parts that take each of the text's characters."""
        wanted = {char: self._sources(ord(char)) for char in set(text)}
        having = self._having({code for codes in wanted.values() for code in codes})
        found = {}
        for char, codes in wanted.items():
            parts = 0
            for code in codes:
                parts |= having[code]
            listed = parts & self._negated if char == "\n" else self._negated
            found[char] = parts ^ listed
        return found

    def _having(self, codes: set[int]) -> dict[int, int]:
        """The parts that have each of these characters in their ranges."""
        found: dict[int, int] = {}
        parts = done = 0
        for code in sorted(codes):
            while done < len(self._changes) and self._changes[done][0] <= code:
                parts ^= 1 << self._changes[done][1]
                done += 1
            found[code] = parts
        return found


def _changes(item: One, part: int) -> Iterator[tuple[int, int]]:
    """The code points from which on characters are in the part's ranges, or no longer."""
    for low, high in item.ranges:
        yield low, part
        yield high + 1, part


def _holds(assertion: Assertion, text: str, at: int) -> bool:
    if assertion is Assertion.START:
        return at == 0
    if assertion is Assertion.END:
        return at == len(text)
    before = at > 0 and _is_word(text[at - 1])
    after = at < len(text) and _is_word(text[at])
    start = assertion is Assertion.WORD_START
    return (after and not before) if start else (before and not after)


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")
