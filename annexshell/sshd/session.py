"""One ssh channel that runs the forced command, with flow control of our own.

asyncssh grants the client a full new window whenever a paused channel resumes, however much
is still waiting, so its own stream classes let memory grow while a child reads slower than
the client sends. Here a channel resumes only when all that was delivered has been taken,
and as much is delivered at a time as one window holds: what is granted is never more than
what was consumed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import asyncssh

WINDOW = 2 * 1024 * 1024
"""Bytes; asyncssh's own default for the receive window of a channel."""


class Session(asyncssh.SSHServerSession[bytes]):
    """The channel's ends as ``read`` and ``write``; ``run`` is awaited once it started."""

    channel: asyncssh.SSHServerChannel[bytes]

    def __init__(self, run: Callable[[Session], Awaitable[None]]) -> None:
        self._run = run
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._paused = self._ended = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Future[None] | None = None
        self.gone = asyncio.Event()
        """Set when the channel is closed, by whatever end."""

    # -- what asyncssh calls --------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.channel = chan

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        return False

    def session_started(self) -> None:
        self._task = asyncio.ensure_future(self._run(self))

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self._arrived.set()
        if self._size >= WINDOW and not self._paused:
            self._paused = True
            self.channel.pause_reading()

    def eof_received(self) -> bool:
        """True keeps our own direction open."""
        self._ended = True
        self._arrived.set()
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        for event in (self._arrived, self._writable, self.gone):
            event.set()

    # -- what the child's side calls ------------------------------------------------------

    async def read(self) -> bytes:
        """The next bytes from the client; empty at the end of file."""
        while not self._waiting:
            if self._ended:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = self._waiting.popleft()
        self._size -= len(data)
        if self._paused and not self._waiting:
            self._paused = False
            self.channel.resume_reading()
        return data

    async def write(self, data: bytes, datatype: int | None = None) -> None:
        """Send to the client's stdout or, with a datatype, its stderr.

        Returns once there is room for more. Raises BrokenPipeError if the client is gone.
        """
        if not self.gone.is_set():
            self.channel.write(data, datatype)
            await self._writable.wait()
        if self.gone.is_set():
            raise BrokenPipeError
