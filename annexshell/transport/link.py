"""A Link: the two descriptors by which one peer is reached.

Non-blocking mode belongs to the open file, not to the descriptor: whoever started us may
share it. So the mode found is put back when the link closes. A closed link's numbers are
set to -1, so that a reused number is never touched.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat

import trio

from annexshell.errors import LinkClosed
from annexshell.transport import syscalls

_PIPE_SIZE = 1 << 20


class Link:
    """Owns both descriptors; they may be the same socket."""

    def __init__(self, reading: int, writing: int, name: str) -> None:
        self.reading = reading
        self.writing = writing
        self.name = name
        self._found = {fd: os.get_blocking(fd) for fd in {reading, writing}}
        for fd in self._found:
            os.set_blocking(fd, False)

    async def read(self, limit: int) -> bytes:
        """At most ``limit`` bytes; empty when the peer has closed. Raises LinkClosed."""
        try:
            return await syscalls.read_some(self.reading, limit)
        except OSError as error:
            # Also a timeout or a lost route, which are no ConnectionError.
            raise LinkClosed(name=self.name) from error

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """All of ``data``. Raises LinkClosed."""
        try:
            await syscalls.write_all(self.writing, data)
        except OSError as error:
            raise LinkClosed(name=self.name) from error

    def readable(self) -> bool:
        """Whether the peer said or closed something already; never waits."""
        poll = select.poll()
        poll.register(self.reading, select.POLLIN)
        return bool(poll.poll(0))

    async def hung_up(self) -> None:
        """Return when the peer says or closes something."""
        await trio.lowlevel.wait_readable(self.reading)

    def close_writing(self) -> None:
        """Tell the peer that nothing more comes."""
        if self.writing != self.reading:
            self._close(self.writing)
            self.writing = -1

    def close(self) -> None:
        """Close both descriptors; doing it twice is harmless."""
        for fd in {self.reading, self.writing}:
            self._close(fd)
        self.reading = self.writing = -1

    def _close(self, fd: int) -> None:
        if fd >= 0:
            os.set_blocking(fd, self._found.pop(fd))
            os.close(fd)

    @property
    def exit_code(self) -> int | None:
        """How the other end ended, where it is our child; known once we are closed."""
        return None

    async def aclose(self) -> None:
        """Close, and wait for whoever is at the other end, as far as it is ours."""
        self.close()


def widen(fd: int) -> None:
    """Give a pipe the largest buffer an ordinary user may have; others are left alone."""
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        return
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    except OSError:
        # Over the user's limit: the pipe stays as it is, only slower.
        return
