"""A pipe or socket that is left alone for a while, instead of being waited for."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
import struct
import termios
import time

import trio

from annexshell.transport.pacing import Pace

LARGE = 1 << 20
"""Bytes; smaller payloads are moved as they come, without any pause."""
_SMALL = 1 << 16
"""Bytes that a pipe takes anyway. Wide ones count against the user's limit."""
_SIZE = 1 << 20
"""Bytes; the widest pipe an ordinary user may have."""
_BRIEF, _ALONE = 0.001, 0.008
"""Seconds below which the process sleeps, and below which where no other task waits."""
_TURN = 0.005
"""Seconds after which tasks that wait for other things have their turn."""


class Flow:
    """One direction of a peer: how much is on its way, and how fast that changes.

    ``capacity`` in bytes; ``filling`` if the peer fills what we read, else it empties the
    socket that we write to.
    """

    def __init__(self, fd: int, capacity: int, *, filling: bool) -> None:
        self._fd = fd
        self._capacity = capacity
        self._filling = filling
        self._request = termios.FIONREAD if filling else termios.TIOCOUTQ
        self._pace = Pace()
        self._level = 0
        self._most = 0
        self._since = 0.0

    async def rest(self, remaining: int) -> bool:
        """Pause until the peer is done with most of it, or of the ``remaining`` bytes.

        Returns whether bytes moved meanwhile. If not, the peer has to be waited for, and
        then `woken` is to be called.
        """
        self._level, self._since = self._held(), trio.current_time()
        if self._filling:
            self._most = min(self._capacity, remaining) - self._level
        else:
            self._most = self._level
        seconds = self._pace.pause(self._most)
        if not seconds:
            return False
        self._pace.woken(await _sleep(seconds))
        return self.woken()

    def woken(self) -> bool:
        """Take note of what the peer did since `rest` began; False if that was nothing."""
        seconds = trio.current_time() - self._since
        moved = abs(self._held() - self._level)
        # A socket that we write to says nothing before it has room for much.
        self._pace.observe(moved, seconds, self._most, told=self._filling)
        return moved > 0

    def _held(self) -> int:
        return queued(self._fd, self._request)


class Outflow:
    """What a peer takes out of a pipe that we write to.

    Nothing is asked of the pipe: whoever rests found it full, now and the last time, and
    what moved in between is what fewer bytes remain. To ask takes the pipe's lock, which a
    reader holds for as long as it copies, and for which the kernel waits by spinning.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pace = Pace()
        self._last: tuple[int, float] | None = None

    async def rest(self, remaining: int) -> bool:
        """Pause until the peer has taken most; False if it has to be waited for instead.

        ``remaining`` bytes were not written yet.
        """
        now = trio.current_time()
        if self._last is not None:
            before, since = self._last
            self._pace.observe(before - remaining, now - since, self._capacity)
        self._last = remaining, now
        seconds = self._pace.pause(self._capacity)
        if seconds:
            self._pace.woken(await _sleep(seconds))
        return seconds > 0

    def woken(self) -> None:
        """It was waited for: what came of that is seen when it is full again."""


async def _sleep(seconds: float) -> float:
    """Sleep ourselves as far as that keeps nobody from moving bytes; how late we woke up.

    A sleep of trio's costs five times as much, and is counted in milliseconds.
    """
    begun = trio.current_time()
    if seconds >= (_ALONE if others.waiting == 0 else _BRIEF):
        with others:
            # Not a part of a millisecond more than is needed, which poll would round up.
            await trio.sleep(int(seconds * 1000) / 1000)
        return trio.current_time() - begun - seconds
    time.sleep(seconds)
    late = trio.current_time() - begun - seconds
    await _take_turns()
    return late


async def room_soon(fd: int) -> bool:
    """Whether ``fd`` takes bytes, or never will, before others ought to have their turn.

    As with a sleep, to wait for that ourselves costs a small part of what trio's wait does.
    """
    if others.waiting:
        return False
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    ready = bool(poll.poll(_ALONE * 1000))
    await _take_turns()
    return ready


async def _take_turns() -> None:
    """Also where we only ever wait ourselves, others have their turn, and we may be ended."""
    now = time.monotonic()
    if others.waiting or now > others.turn:
        await trio.lowlevel.checkpoint()
        others.turn = now + _TURN
    else:
        await trio.lowlevel.checkpoint_if_cancelled()


class _Others:
    """How many tasks of the process wait for bytes to move, or for room for them."""

    def __init__(self) -> None:
        self.waiting = 0
        self.turn = 0.0

    def __enter__(self) -> None:
        self.waiting += 1

    def __exit__(self, *exception: object) -> None:
        self.waiting -= 1


others = _Others()


def inflow(fd: int, length: int) -> Flow | None:
    """For a payload of ``length`` bytes that comes by ``fd``, which is widened for it.

    None where the payload is not large, or ``fd`` neither pipe nor socket.
    """
    capacity = _capacity(fd, length, socket.SO_RCVBUF)
    return Flow(fd, capacity, filling=True) if capacity else None


def outflow(fd: int, length: int) -> Flow | Outflow | None:
    """The same for a payload that goes by ``fd``."""
    capacity = _capacity(fd, length, socket.SO_SNDBUF)
    if not capacity:
        return None
    if _kind(fd) == stat.S_IFIFO:
        return Outflow(capacity)
    return Flow(fd, capacity, filling=False)


def _capacity(fd: int, length: int, option: int) -> int:
    widen_for(fd, length)
    if length < LARGE:
        return 0
    kind = _kind(fd)
    if kind == stat.S_IFIFO:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    if kind == stat.S_IFSOCK:
        with socket.socket(fileno=os.dup(fd)) as peer:
            return peer.getsockopt(socket.SOL_SOCKET, option)
    return 0


def queued(fd: int, request: int = termios.FIONREAD) -> int:
    """Bytes that lie in a pipe or socket, to be read. Raises OSError for others."""
    (count,) = _INT.unpack(fcntl.ioctl(fd, request, _ZERO))
    return int(count)


def widen(fd: int) -> None:
    """Give a pipe, or what is written to a unix socket, the largest buffer it may have.

    Others are left alone: TCP finds its own measure, unless it is told one. A refusal is
    harmless: past the user's limit for all pipes things are only slower.
    """
    kind = _kind(fd)
    try:
        if kind == stat.S_IFIFO:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _SIZE)
        elif kind == stat.S_IFSOCK:
            with socket.socket(fileno=os.dup(fd)) as peer:
                if peer.family == socket.AF_UNIX:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SIZE)
    except OSError:
        return


def widen_for(fd: int, length: int) -> None:
    """`widen` for a payload of ``length`` bytes, if it is worth it."""
    if length > _SMALL:
        widen(fd)


def _kind(fd: int) -> int:
    return stat.S_IFMT(os.fstat(fd).st_mode)


_INT = struct.Struct("i")
_ZERO = _INT.pack(0)
