"""Sets of characters, and what "the same but for case" means for them (spec 04 §3.4)."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from functools import cache

Ranges = tuple[tuple[int, int], ...]
"""Code points, ends included, sorted and apart from each other."""

_LAST = 0x10FFFF
_LAST_CASED = 0x1FFFF
"""Beyond are no letters with case; to look at all characters would take a second."""
_FEW = 16


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same characters in ranges that are sorted and apart from each other."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    """All other characters."""
    starts = [0, *(high + 1 for _, high in ranges)]
    ends = [*(low - 1 for low, _ in ranges), _LAST]
    return tuple((low, high) for low, high in zip(starts, ends) if low <= high)


def overlap(one: Ranges, other: Ranges) -> bool:
    """Whether a character is in both."""
    both = sorted([*one, *other])
    return any(low <= before[1] for before, (low, _) in zip(both, both[1:]))


def images(code: int) -> tuple[int, ...]:
    """What a character of a glob stands for when case is ignored.

    That is a letter's upper and lower case, where each is one character: not itself, so
    that title case does not match itself.
    """
    char = chr(code)
    if not char.isalpha():
        return (code,)
    # Python's mappings may give several characters, of which there is one for title case.
    upper = next((c for c in (char.upper(), char.title()) if len(c) == 1), char)
    return ord(char.lower()[0]), ord(upper)


@cache
def _cased() -> list[tuple[int, tuple[int, ...]]]:
    """All characters that do not stand for just themselves, sorted, with what they do."""
    codes = range(_LAST_CASED + 1)
    changing = (
        c for c in codes if chr(c).lower() != chr(c) or chr(c).upper() != chr(c)
    )
    found = ((code, images(code)) for code in changing)
    return [(code, stands_for) for code, stands_for in found if {*stands_for} != {code}]


@cache
def _sources() -> dict[int, tuple[int, ...]]:
    """For each character that others stand for, those that do."""
    found: dict[int, list[int]] = {code: [] for code, _ in _cased()}
    for code, stands_for in _cased():
        for image in set(stands_for):
            # Sharp s stands for itself alone, and the capital one for it as well.
            found.setdefault(image, [image]).append(code)
    return {image: tuple(codes) for image, codes in found.items()}


def sources(code: int) -> tuple[int, ...]:
    """The characters of a glob that match this one when case is ignored."""
    return _sources().get(code, (code,))


def itself(code: int) -> tuple[int, ...]:
    """As `sources`, where case counts."""
    return (code,)


def fold(ranges: Ranges) -> Ranges:
    """All that match a set of characters when case is ignored."""
    found = list(ranges)
    gone: set[int] = set()
    for low, high in ranges:
        if high - low < _FEW:
            pairs = [(code, images(code)) for code in range(low, high + 1)]
        else:
            pairs = _cased()[bisect(_cased(), (low,)) : bisect(_cased(), (high + 1,))]
        for code, stands_for in pairs:
            found += ((image, image) for image in stands_for)
            if code not in stands_for:
                gone.add(code)
    if not gone:
        return merged(found)
    rest = complement(merged(found))
    return complement(merged([*rest, *((code, code) for code in gone)]))
