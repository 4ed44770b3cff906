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
LARGE_STEP = 1 / 2
"""The part of what a pipe holds that makes a wait as good as a pause."""
_FULL = 15 / 16
_SOON = 0.002
"""Seconds, at most, once the other side was found waiting: it may be any amount faster."""
_STRETCH = 4
"""Times as long as what was seen is a pause at most."""
_LONGER, _FARTHER, _GROWTH, _FORGETTING = 1.5, 1.1, 1.02, 0.97


class Pace:
    """The other side of one pipe or socket, by what it did in the last pauses."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._limit = LONGEST
        self._reach = float("inf")
        self._seconds = 0.0
        self._moved = 0
        self._paused = False
        self._late = 0.0
        self._best = 0.0

    def pause(self, most: float) -> float:
        """Seconds until the other side has moved about `GOAL` of ``most`` bytes.

        0 where that is not known, or where it is too short to sleep; else between
        `SHORTEST` and `LONGEST`.
        """
        seconds = GOAL * min(most, self._reach) / self._rate if self._rate else 0.0
        # Nor can it be shorter than what we may be late by.
        seconds -= self._late
        self._late *= _FORGETTING
        self._paused = seconds >= SHORTEST
        return min(seconds, self._limit) if self._paused else 0.0

    def woken(self, late: float) -> None:
        """A pause took so many seconds more than it should have."""
        self._late = max(self._late, late)

    def observe(
        self, moved: int, seconds: float, most: float, *, told: bool = True
    ) -> None:
        """The other side moved so many bytes in a pause, or while it was waited for.

        ``most`` is what it could. If that was nearly all, it can be faster than that.
        ``told``: whoever waits for it is woken when it is done with what it does.
        """
        rate = moved / seconds if seconds > 0 else 0.0
        if self._paused:
            self._look_for_its_end(moved, seconds)
        elif told and moved >= LARGE_STEP * most:
            # It moves much at once. A pause may end in the middle of that, where the
            # kernel lets nobody else in.
            rate = 0.0
        whole = self._paused and moved >= _FULL * most
        self._paused = False
        if whole or moved * _FARTHER >= self._reach:
            self._rate = 2 * max(rate, self._rate)
            self._limit = _SOON
        else:
            self._rate, self._limit = rate, min(max(_STRETCH * seconds, _SOON), LONGEST)
            if rate:
                # Where the machine is busy the other side was perhaps only not running.
                self._rate = max(rate, self._best / 2)
        self._best = max(rate, self._best / 2)
        self._reach *= _GROWTH

    def _look_for_its_end(self, moved: int, seconds: float) -> None:
        """Whether more time brought no more: the other side stops before we know.

        A socket holds less than its size, and so does a pipe of pages that are half empty.
        """
        if moved >= self._moved * _FARTHER or seconds < self._seconds:
            self._seconds, self._moved = seconds, moved
        elif moved and seconds > self._seconds * _LONGER:
            self._reach = moved
