"""How long to leave a pipe alone, so that a wake-up moves much and nobody has to wait.

Whoever waits for a full pipe is woken at the first page that its reader took, and whoever
waits for an empty one at the first byte: that is a wake-up for every 4 to 64 KiB. So the
pipe is left alone for as long as the other side needs for most of it, by the speed that it
showed. Most and not all, so that it does not find the pipe empty (or full), also where the
machine is busy and we are woken late.
"""

from __future__ import annotations

GOAL = 3 / 4
"""The part of what a pipe holds that is to move in one pause."""
SHORTEST = 5e-5
"""Seconds; to sleep for less takes longer than that."""
LONGEST = 0.1
"""Seconds; at ten wake-ups a second a slow peer costs nothing, and one that was slow is not
believed to be so for long."""
_SOON = 0.002
"""Seconds, at most, once the other side was found waiting: it may be any amount faster."""
_LONGER, _FARTHER, _GROWTH = 1.5, 1.1, 1.02


class Pace:
    """The other side of one pipe or socket, by what it did in the last pauses."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._limit = LONGEST
        self._reach = float("inf")
        self._seconds = 0.0
        self._moved = 0
        self._paused = False

    def pause(self, most: float) -> float:
        """Seconds until the other side has moved about `GOAL` of ``most`` bytes.

        0 where that is not known, or where it is too short to sleep; else between
        `SHORTEST` and `LONGEST`.
        """
        seconds = GOAL * min(most, self._reach) / self._rate if self._rate else 0.0
        self._paused = seconds >= SHORTEST
        return min(seconds, self._limit) if self._paused else 0.0

    def observe(self, moved: int, seconds: float, *, whole: bool) -> None:
        """The other side moved so many bytes in a pause, or while it was waited for.

        ``whole``: there was no more for it to move, so it can be faster than that.
        """
        rate = moved / seconds if seconds > 0 else 0.0
        if self._paused:
            self._look_for_its_end(moved, seconds)
            self._paused = False
        if whole or moved * _FARTHER >= self._reach:
            self._rate = 2 * max(rate, self._rate)
            self._limit = _SOON
        else:
            self._rate, self._limit = rate, LONGEST
        self._reach *= _GROWTH

    def _look_for_its_end(self, moved: int, seconds: float) -> None:
        """Whether more time brought no more: the other side stops before we know.

        A socket holds less than its size, and so does a pipe of pages that are half empty.
        """
        if moved >= self._moved * _FARTHER or seconds < self._seconds:
            self._seconds, self._moved = seconds, moved
        elif moved and seconds > self._seconds * _LONGER:
            self._reach = moved
