"""A pipe or socket that is left alone for a while, instead of being waited for."""

from __future__ import annotations

import fcntl
import math
import os
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
_FULL = 15 / 16


class Flow:
    """One direction of a peer: how much is on its way, and how fast that changes.

    ``capacity`` in bytes; ``filling`` if the peer fills what we read, else it empties
    what we write.
    """

    def __init__(self, fd: int, capacity: int, *, filling: bool) -> None:
        self._fd = fd
        self._capacity = capacity
        self._filling = filling
        self._request = termios.FIONREAD if filling else _UNREAD[_kind(fd)]
        self._pace = Pace()
        self._level = 0
        self._since = 0.0

    async def rest(self, remaining: float = math.inf) -> bool:
        """Pause until the peer is done with most of it, or of the ``remaining`` bytes.

        Returns whether bytes moved meanwhile. If not, the peer has to be waited for, and
        then `woken` is to be called.
        """
        self._level, self._since = self._held(), trio.current_time()
        if self._filling:
            most = min(self._capacity, remaining) - self._level
        else:
            most = self._level
        seconds = self._pace.pause(most)
        if not seconds:
            return False
        await _sleep(seconds)
        return self.woken()

    def woken(self) -> bool:
        """Take note of what the peer did since `rest` began; False if that was nothing."""
        level, seconds = self._held(), trio.current_time() - self._since
        if self._filling:
            moved, whole = level - self._level, level >= self._capacity * _FULL
        else:
            moved, whole = self._level - level, level == 0
        self._pace.observe(moved, seconds, whole=whole)
        return moved > 0

    def _held(self) -> int:
        return queued(self._fd, self._request)


async def _sleep(seconds: float) -> None:
    """Sleep ourselves as far as that keeps nobody from moving bytes.

    A sleep of trio's costs five times as much, and is counted in milliseconds.
    """
    if seconds >= (_ALONE if others.waiting == 0 else _BRIEF):
        with others:
            # Not a part of a millisecond more than is needed, which poll would round up.
            await trio.sleep(int(seconds * 1000) / 1000)
        return
    time.sleep(seconds)
    # Also where that is all we ever wait, others have their turn, and we may be ended.
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


def flow(fd: int, length: int, *, filling: bool) -> Flow | None:
    """The Flow for a payload of ``length`` bytes by ``fd``, which is widened for it.

    None where the payload is not large, or ``fd`` neither pipe nor socket.
    """
    if length > _SMALL:
        widen(fd)
    if length < LARGE:
        return None
    kind = _kind(fd)
    if kind == stat.S_IFIFO:
        capacity = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    elif kind == stat.S_IFSOCK:
        option = socket.SO_RCVBUF if filling else socket.SO_SNDBUF
        with socket.socket(fileno=os.dup(fd)) as peer:
            capacity = peer.getsockopt(socket.SOL_SOCKET, option)
    else:
        return None
    return Flow(fd, capacity, filling=filling)


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


def _kind(fd: int) -> int:
    return stat.S_IFMT(os.fstat(fd).st_mode)


_INT = struct.Struct("i")
_ZERO = _INT.pack(0)
_UNREAD = {stat.S_IFIFO: termios.FIONREAD, stat.S_IFSOCK: termios.TIOCOUTQ}
"""How to ask for what a peer has not read yet."""
