"""Connections that sessions left behind, for the next ones; blocking, and never waiting.

The resident holds them open and does nothing else with them: it reads nothing and writes
nothing. One at which something happened while it rested, be it a word, a complaint or the
end, is given to nobody.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import attrs

from annexshell.remotes import kept

MOST = 8
"""Connections, of all gateways of one user."""
GRACE = 5.0
"""Seconds that ssh has to end by itself once its input is closed."""


@attrs.frozen
class _Resting:
    key: str
    note: bytes
    until: float
    reading: int
    writing: int
    complaints: int
    process: int
    """A pidfd: of all these the only thing that cannot lead to somebody else later."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        return self.reading, self.writing, self.complaints, self.process

    def disturbed(self) -> bool:
        """Whether the node said something, complained, or is gone."""
        poll = select.poll()
        for fd in (self.reading, self.complaints, self.process):
            poll.register(fd, select.POLLIN)
        poll.register(self.writing, 0)
        return bool(poll.poll(0))


class Pool:
    """The connections that are kept; ``clock`` tells seconds, as `expire` is told them."""

    def __init__(
        self, most: int = MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._clock = clock
        self._resting: list[_Resting] = []
        self._ending: list[tuple[float, int]] = []
        self._sent: list[int] = []

    def __len__(self) -> int:
        return len(self._resting)

    def answer(
        self, message: bytes, descriptors: Sequence[int]
    ) -> tuple[bytes, list[int]]:
        """What to tell a session, and the descriptors to send with it.

        Takes over ``descriptors``. Those it returns are to be sent and not to be closed:
        they are, with the next call of any method. Raises nothing, whatever the message is.
        """
        self._forget_sent()
        request = kept.asked(message)
        if isinstance(request, kept.Kept) and len(descriptors) == kept.DESCRIPTORS:
            self._keep(request, descriptors)
            return kept.LEFT, []
        _close(descriptors)
        if isinstance(request, str):
            return self._taken(request)
        return kept.NONE, []

    def _forget_sent(self) -> None:
        """Whoever they were sent to has them, or nobody does: then they end here."""
        _close(self._sent)
        self._sent.clear()

    def _keep(self, left: kept.Kept, descriptors: Sequence[int]) -> None:
        until = self._clock() + left.rest
        self._resting.append(_Resting(left.key, left.note, until, *descriptors))
        while len(self._resting) > self._most:
            self._end(self._resting.pop(0))

    def _taken(self, key: str) -> tuple[bytes, list[int]]:
        """The one that was left last: it is the likeliest to be there still."""
        now = self._clock()
        for found in [one for one in reversed(self._resting) if one.key == key]:
            self._resting.remove(found)
            if found.until > now and not found.disturbed():
                self._sent = list(found.descriptors)
                return kept.given(found.note), list(found.descriptors)
            self._end(found)
        return kept.NONE, []

    def expire(self, now: float) -> float | None:
        """End what has rested long enough; the seconds until there is more to do.

        None if there will not be.
        """
        self._forget_sent()
        for one in [one for one in self._resting if one.until <= now]:
            self._resting.remove(one)
            self._end(one)
        for due in [due for due in self._ending if due[0] <= now]:
            self._ending.remove(due)
            _terminate(due[1])
        times = [one.until for one in self._resting]
        times += [deadline for deadline, _ in self._ending]
        return max(0.0, min(times) - now) if times else None

    def _end(self, one: _Resting) -> None:
        """ssh ends when its input does, and the node's own program before it."""
        _close((one.reading, one.writing, one.complaints))
        self._ending.append((self._clock() + GRACE, one.process))

    def close(self) -> None:
        """End all connections at once."""
        self._forget_sent()
        for one in self._resting:
            _close((one.reading, one.writing, one.complaints))
            _terminate(one.process)
        for _, process in self._ending:
            _terminate(process)
        self._resting.clear()
        self._ending.clear()


def _close(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _terminate(process: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGTERM)
    os.close(process)
