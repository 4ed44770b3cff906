"""What a child says on stderr, passed on to ours for as long as the child is ours.

A child that outlives the session must not hold the client's stderr: sshd waits until
nobody does, and what the child says later is for somebody else.
"""

from __future__ import annotations

import os

import trio

from annexshell.transport.stderr import PatientWriter

_READ = 1 << 13
_MOST_LEFT = 1 << 17
"""Bytes that are looked for at the end: more than the pipe holds, were it ever refilled."""


class Complaints:
    """Owns ``reading``, the end of the pipe that the child's stderr leads to."""

    def __init__(self, reading: int, fd: int = 2) -> None:
        os.set_blocking(reading, False)
        self._reading = reading
        self._writer = PatientWriter(fd)

    def begin(self) -> None:
        """Pass on what comes, as it comes."""
        trio.lowlevel.spawn_system_task(self._pass_on)

    async def _pass_on(self) -> None:
        try:
            while self._reading >= 0:
                await trio.lowlevel.wait_readable(self._reading)
                if not self._passed_on():
                    return
        except trio.ClosedResourceError:
            # Detached: it is somebody else's now.
            return

    def _passed_on(self) -> int:
        """How much there was."""
        if self._reading < 0:
            # Closed after there was something, and before its turn came.
            return 0
        try:
            text = os.read(self._reading, _READ)
        except BlockingIOError:
            return 0
        self._writer.write(text)
        return len(text)

    def detach(self) -> int:
        """The descriptor, once all that was said so far is passed on; it is not ours now."""
        reading = self._reading
        trio.lowlevel.notify_closing(reading)
        left = _MOST_LEFT
        while left > 0 and (length := self._passed_on()):
            left -= length
        self._reading = -1
        return reading

    def close(self) -> None:
        """Pass on what is left, and close; doing it twice is harmless."""
        if self._reading >= 0:
            os.close(self.detach())
