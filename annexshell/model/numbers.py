"""Numbers as leniently as git-annex reads them (spec 03 §4.4, §4.7; 04 §3.5, §3.6).

White space before the number, parentheses around it, a minus sign apart from it, 0x and 0o,
and anything after it are accepted. ``1x`` is 1 and ``0x10`` is 16; what has a fraction or an
exponent is no whole number. Everything takes linear time, however long a text is.
"""

from __future__ import annotations

import math
import re

import attrs

SPACE = "\t\n\v\f\r \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
"""White space, for a class in a regular expression. Other characters that Unicode or Python
call spaces are none to git-annex."""
_NUMBER = re.compile(
    rf"(?P<before>[{SPACE}(]*+)(?P<minus>-[{SPACE}]*+)?"
    r"(?:0[xX](?P<hex>[0-9a-fA-F]++)|0[oO](?P<octal>[0-7]++)"
    r"|(?P<decimal>(?P<digits>[0-9]++)(?P<rest>(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?))"
    r"|(?P<special>NaN|Infinity))"
)
_AFTER = re.compile(rf"[{SPACE})]*+")
_ENOUGH_DIGITS = 300
_HUGE: int = 10**_ENOUGH_DIGITS
"""Python refuses to read or to print numbers that are much longer."""
_WORD = 64
"""Bits. The last 64 digits of a number decide its last 64 bits, in each of the bases."""


@attrs.frozen
class Number:
    """A number at the start of a text, which ends at ``end``, with its parentheses.

    ``digits`` are in ``base``, and empty if it is no whole number. ``decimal`` is how it is
    spelled if that is in base 10.
    """

    negative: bool
    base: int
    digits: str
    decimal: str
    end: int

    def integer(self) -> int | None:
        """Its value if it is whole; of more than 300 digits it is 10^300."""
        if not self.digits:
            return None
        digits = self.digits.lstrip("0") or "0"
        huge = len(digits) > _ENOUGH_DIGITS
        return self._signed(_HUGE if huge else int(digits, self.base))

    def word(self) -> int | None:
        """The same, kept in 64 bits with a sign: what is too large wraps around."""
        if not self.digits:
            return None
        number = self._signed(int(self.digits[-_WORD:], self.base))
        half = 1 << (_WORD - 1)
        return (number + half) % (1 << _WORD) - half

    def double(self) -> float:
        """Its value as a double, infinite if it is too large."""
        if self.decimal:
            number = float(self.decimal)
        else:
            try:
                number = float(int(self.digits, self.base))
            except OverflowError:
                number = math.inf
        return -number if self.negative else number

    def _signed(self, number: int) -> int:
        return -number if self.negative else number


def read_number(text: str) -> Number | None:
    """The number that ``text`` begins with, None if with none."""
    found = _NUMBER.match(text)
    if found is None:
        return None
    end = _closed(text, found.end(), found["before"].count("("))
    if end is None:
        return None
    digits, base, decimal = found["digits"], 10, found["decimal"] or found["special"]
    if decimal is None:
        digits, base = found["hex"] or found["octal"], 16 if found["hex"] else 8
    elif found["special"] or found["rest"]:
        digits = ""
    return Number(bool(found["minus"]), base, digits, decimal or "", end)


def _closed(text: str, end: int, parentheses: int) -> int | None:
    """Where so many are closed, with nothing but white space between them."""
    after = _AFTER.match(text, end)
    last = end if after is None else after.end()
    for _ in range(parentheses):
        end = text.find(")", end, last) + 1
        if not end:
            return None
    return end
