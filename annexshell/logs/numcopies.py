"""numcopies.log and mincopies.log: one number for all files (spec 03 §4.4)."""

from __future__ import annotations

from annexshell.logs.lines import lines_of
from annexshell.logs.numbers import lenient_word
from annexshell.model.clock import Clock, parse_clock


def numcopies(content: bytes) -> int | None:
    """The number that counts, at least 1; None if none is set.

    Of lines with the same clock the greatest number counts. As git-annex, a number that is
    too large for 64 bits wraps around.
    """
    newest = max(_lines(content), default=None)
    return None if newest is None else max(1, newest[1])


def _lines(content: bytes) -> list[tuple[Clock, int]]:
    found: list[tuple[Clock, int]] = []
    for line in lines_of(content):
        stamp, _, value = line.partition(b" ")
        clock, number = parse_clock(stamp), lenient_word(value)
        if clock is not None and number is not None:
            found.append((clock, number))
    return found
