"""Whole numbers in logs, as leniently as git-annex reads them (spec 03 §4.4, §4.7).

White space before the number, parentheses around it, a minus sign apart from it, 0x and 0o,
and anything after it are accepted. What has a fraction or an exponent is no number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SPACE = "\t\n\v\f\r \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
"""Other characters that Unicode or Python call spaces are none to git-annex."""
_NUMBER = re.compile(
    rf"(?P<before>[{_SPACE}(]*+)(?P<minus>-[{_SPACE}]*+)?"
    r"(?:0[xX](?P<hex>[0-9a-fA-F]++)|0[oO](?P<oct>[0-7]++)"
    r"|(?P<dec>[0-9]++)(?P<real>\.[0-9]|[eE][+-]?[0-9])?)"
)
_AFTER = re.compile(rf"[{_SPACE})]*+")
_BASES = {"dec": 10, "hex": 16, "oct": 8}
_ENOUGH_DIGITS = 300
_HUGE: int = 10**_ENOUGH_DIGITS
"""Python refuses to read or to print numbers that are much longer."""
_WORD = 64
"""Bits. The last 64 digits of a number decide its last 64 bits, in each of the bases."""


class _Found(NamedTuple):
    negative: bool
    base: int
    digits: str

    def signed(self, digits: str) -> int:
        number = int(digits, self.base)
        return -number if self.negative else number


def lenient_integer(text: bytes) -> int | None:
    """The number that ``text`` begins with, None if with none.

    A number of more than 300 digits is 10^300.
    """
    found = _find(text)
    if found is None:
        return None
    digits = found.digits.lstrip("0") or "0"
    if len(digits) > _ENOUGH_DIGITS:
        return -_HUGE if found.negative else _HUGE
    return found.signed(digits)


def lenient_word(text: bytes) -> int | None:
    """The same, kept in 64 bits with a sign: a number that is too large wraps around."""
    found = _find(text)
    if found is None:
        return None
    number = found.signed(found.digits[-_WORD:])
    half = 1 << (_WORD - 1)
    return (number + half) % (1 << _WORD) - half


def _find(text: bytes) -> _Found | None:
    words = text.decode("utf-8", "surrogateescape")
    found = _NUMBER.match(words)
    if found is None or found["real"]:
        return None
    after = _AFTER.match(words, found.end())
    if after is None or after[0].count(")") < found["before"].count("("):
        return None
    for name, base in _BASES.items():
        if found[name]:
            return _Found(bool(found["minus"]), base, found[name])
    return None
