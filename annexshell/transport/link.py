"""A Link: the two descriptors by which one peer is reached.

Non-blocking mode belongs to the open file, not to the descriptor: whoever started us may
share it. So the mode found is put back when the link closes. A closed link's numbers are
set to -1, so that a reused number is never touched.

Every wait for the peer is bounded here, and only here. A limit starts anew whenever bytes
move, so it cuts no slow transfer. Once it ran out the link is useless: whoever waits for
it again, in cleaning up too, is told at once.
"""

from __future__ import annotations

import math
import os
import select
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

from annexshell.errors import LinkClosed, LinkStalled, PayloadStalled
from annexshell.model.duration import spell_duration
from annexshell.model.payload import Payload
from annexshell.transport import syscalls
from annexshell.transport.flow import Flow, Outflow, inflow, others, outflow, room_soon
from annexshell.transport.guard import Guard

_LOOKING = 0.5
"""Seconds between looks for the end of a peer that said something nobody reads yet."""
_ENDED = select.POLLHUP | select.POLLERR | select.POLLRDHUP | select.POLLNVAL


class Link:
    """Owns both descriptors; they may be the same socket.

    ``idle`` is how many seconds the peer may say nothing where it may be silent, counted
    from the last byte in either direction; ``stall`` is for bytes that are on their way.
    """

    def __init__(self, reading: int, writing: int, name: str) -> None:
        self.reading = reading
        self.writing = writing
        self.name = name
        self.idle = self.stall = math.inf
        self._moved = -math.inf
        self._listening = 0
        self._failure: LinkStalled | None = None
        self._reads, self._writes = Guard(), Guard()
        self._outflow: Flow | Outflow | None = None
        self._payload: Payload | None = None
        self._is_file = stat.S_ISREG(os.fstat(reading).st_mode)
        self._found = {fd: os.get_blocking(fd) for fd in {reading, writing}}
        for fd in self._found:
            os.set_blocking(fd, False)

    async def read(self, limit: int, *, owed: bool = False) -> bytes:
        """At most ``limit`` bytes; empty when the peer has closed. Raises LinkClosed.

        ``owed`` bytes are on their way already: silence is a stall.
        """
        found = self.read_now(limit)
        if found is not None:
            return found
        ready = self._owed if owed else self._said
        try:
            await ready()
            return await syscalls.read_some(self.reading, limit, ready)
        except OSError as error:
            # Also a timeout or a lost route, which are no ConnectionError.
            raise LinkClosed(name=self.name) from error

    def read_now(self, limit: int) -> bytes | None:
        """As `read`; None where that would have to wait."""
        self._check()
        try:
            return os.read(self.reading, limit)
        except BlockingIOError:
            return None
        except OSError as error:
            raise LinkClosed(name=self.name) from error

    async def write(self, data: bytes | memoryview) -> None:
        """All of ``data``. Raises LinkClosed."""
        done = self.write_now(data)
        if done == len(data):
            return
        try:
            await self.writable()
            rest = memoryview(data)[done:]
            await syscalls.write_all(self.writing, rest, self.writable)
        except OSError as error:
            raise LinkClosed(name=self.name) from error

    def write_now(self, data: bytes | memoryview) -> int:
        """How many bytes of ``data`` the peer took, without waiting. Raises LinkClosed."""
        self._check()
        try:
            done = os.write(self.writing, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkClosed(name=self.name) from error
        if self._listening:
            # Nobody else asks when that was, and a small request need not.
            self._moved = trio.current_time()
        return done

    def readable(self) -> bool:
        """Whether the peer said or closed something already; never waits."""
        poll = select.poll()
        poll.register(self.reading, select.POLLIN)
        return bool(poll.poll(0))

    async def hung_up(self) -> None:
        """Return when the peer says or closes something. Raises LinkStalled after a stall."""
        self._check()
        if self._is_file:
            # It cannot be waited for: what it holds is there already.
            return
        try:
            await trio.lowlevel.wait_readable(self.reading)
        except PermissionError:
            # Nor can some devices, such as /dev/null.
            self._is_file = True

    async def gone(self) -> None:
        """Return when the peer has closed; what it says meanwhile is left unread."""
        poll = select.poll()
        poll.register(self.reading, select.POLLRDHUP)
        await self.hung_up()
        if self._is_file:
            await trio.sleep_forever()
        while not any(event & _ENDED for _, event in poll.poll(0)):
            await trio.sleep(_LOOKING)

    async def unheard(self) -> None:
        """Return when nobody can read what is written any more.

        Unlike `gone` it is no news that the peer has said all it will say.
        """
        poll = select.poll()
        poll.register(self.writing, 0)
        while not poll.poll(0):
            await trio.sleep(_LOOKING)

    # -- bounded waiting -----------------------------------------------------------------

    @contextmanager
    def patient(self, seconds: float) -> Iterator[None]:
        """The peer may need so long before bytes move at all: it hashes what it has."""
        found, self.stall = self.stall, self.stall + seconds
        try:
            yield
        finally:
            self.stall = found

    @contextmanager
    def paced(self, payload: Payload) -> Iterator[bool]:
        """What is moved in the block is ``payload``: `writable` waits for room for much.

        Whether it does: only if there is much, and a pipe or socket to take it.
        """
        self._outflow = outflow(self.writing, payload.remaining)
        self._payload = payload
        try:
            yield self._outflow is not None
        finally:
            self._outflow = self._payload = None

    async def writable(self) -> None:
        """Return when the peer takes bytes. Raises LinkStalled."""
        self._check()
        flow, payload = self._outflow, self._payload
        if flow is None or payload is None:
            await self._room()
        elif not await flow.rest(payload.remaining):
            if not await room_soon(self.writing):
                await self._room()
            flow.woken()
        self._moved = trio.current_time()

    async def _room(self) -> None:
        seconds, wait = self.stall, trio.lowlevel.wait_writable
        with others:
            done = await self._writes.wait(wait, self.writing, seconds)
        if not done:
            raise self._stalled("took no more bytes", seconds)

    def arrival(self, payload: Payload) -> Callable[[], Awaitable[None]]:
        """What is to be the ``ready`` of a payload that the peer sends.

        It returns when more is there, and of a large payload when much is. It raises
        PayloadStalled.
        """
        flow = inflow(self.reading, payload.length)

        async def ready() -> None:
            if flow is None:
                await self.payload_ready()
            elif await flow.rest(payload.remaining):
                self._moved = trio.current_time()
            else:
                await self.payload_ready()
                flow.woken()

        return ready

    async def payload_ready(self) -> None:
        """Return when more of the peer's payload is there. Raises PayloadStalled."""
        try:
            await self._owed()
        except LinkStalled as error:
            time = error.fields["time"]
            raise PayloadStalled(name=self.name, time=time) from error

    async def _owed(self) -> None:
        self._check()
        seconds, wait = self.stall, trio.lowlevel.wait_readable
        with others:
            done = await self._reads.wait(wait, self.reading, seconds)
        if not done:
            raise self._stalled("was silent", seconds)
        self._moved = trio.current_time()

    async def _said(self) -> None:
        self._listening += 1
        try:
            await self._listen()
        finally:
            self._listening -= 1

    async def _listen(self) -> None:
        begun = trio.current_time()
        while True:
            self._check()
            last = max(begun, self._moved)
            with trio.move_on_at(last + self.idle):
                try:
                    await trio.lowlevel.wait_readable(self.reading)
                except trio.ClosedResourceError as error:
                    # It is one socket, and what is written to it stalled.
                    raise LinkClosed(name=self.name) from error
                self._moved = trio.current_time()
                return
            if self._moved <= last:
                raise self._stalled("was silent", self.idle)

    def _stalled(self, what: str, seconds: float) -> LinkStalled:
        time = spell_duration(seconds)
        self._failure = LinkStalled(name=self.name, what=what, time=time)
        return self._failure

    def _check(self) -> None:
        if self._failure is not None:
            raise LinkStalled(**self._failure.fields)

    # -- the end -------------------------------------------------------------------------

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

    def abandon(self) -> None:
        """Close at once; whoever is at the other end may end later."""
        self.close()

    @property
    def exit_code(self) -> int | None:
        """How the other end ended, where it is our child; known once we are closed."""
        return None

    async def aclose(self) -> None:
        """Close, and wait for whoever is at the other end, as far as it is ours."""
        self.close()
