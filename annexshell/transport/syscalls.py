"""The system calls that move bytes, as loops that wait for readiness instead of blocking.

How to wait is the caller's to say: a Link bounds it. By default it is for ever. The one
caller of os.sendfile, os.splice and tee. A descriptor that cannot be polled (a regular file) never
answers EAGAIN, so nothing here ever waits for one.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Awaitable, Callable
from functools import cache
from typing import cast

import trio

from annexshell.transport.flow import queued

CHUNK = 1 << 20
"""Bytes asked for at once; the largest pipe an ordinary user may have."""

Wait = Callable[[], Awaitable[None]]
"""Returns when the descriptor is ready; may raise where that takes too long."""

Read = Callable[[int, memoryview], int]
"""As os.readv into one buffer: the number of bytes that left the descriptor."""

_UNSUPPORTED = frozenset((errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP))


class Unsupported(Exception):
    """The kernel does not do this between these two descriptors; nothing was moved."""


async def read_some(fd: int, limit: int, ready: Wait | None = None) -> bytes:
    """At most ``limit`` bytes, at least one; empty at the end. Raises OSError."""
    while True:
        try:
            return os.read(fd, limit)
        except BlockingIOError:
            await _readable(fd, ready)


def read_now(fd: int, target: memoryview) -> int:
    """What there is, into ``target``; 0 at the end. Raises BlockingIOError, OSError."""
    return os.readv(fd, [target])


async def read_into(
    fd: int, target: memoryview, ready: Wait | None = None, read: Read = read_now
) -> int:
    """As `read_some` into ``target``, without making an object. Raises OSError."""
    while True:
        try:
            return read(fd, target)
        except BlockingIOError:
            await _readable(fd, ready)


async def write_all(
    fd: int, data: bytes | bytearray | memoryview, ready: Wait | None = None
) -> None:
    """All of ``data``. Raises OSError; how much was written is then not known."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await _writable(fd, ready)


async def sendfile(
    out: int, source: int, position: int, count: int, ready: Wait | None = None
) -> int:
    """Move up to ``count`` bytes of the file ``source``; 0 at its end.

    Raises Unsupported and OSError.
    """
    while True:
        try:
            return os.sendfile(out, source, position, count)
        except BlockingIOError:
            await _writable(out, ready)
        except OSError as error:
            raise _translated(error) from error


async def splice(
    out: int,
    source: int,
    count: int,
    source_ready: Wait | None = None,
    out_ready: Wait | None = None,
) -> int:
    """Move up to ``count`` bytes, one of the two being a pipe; 0 at the end of ``source``.

    Raises Unsupported and OSError. EAGAIN does not say which side is not ready: it is the
    source if that is empty.
    """
    while True:
        try:
            return os.splice(source, out, count, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            if queued(source):
                await _writable(out, out_ready)
            else:
                await _readable(source, source_ready)
        except OSError as error:
            raise _translated(error) from error


def tee(source: int, out: int, count: int) -> int:
    """Let the pipe ``out`` have up to ``count`` bytes that stay in the pipe ``source``.

    It is what will be read next; 0 at the end. Never waits: raises BlockingIOError where
    nothing is there, or no room. Raises Unsupported where this is not to be had between
    these two, and OSError.
    """
    done = int(_tee()(source, out, count, os.SPLICE_F_NONBLOCK))
    if done < 0:
        number = ctypes.get_errno()
        error = OSError(number, os.strerror(number))
        if isinstance(error, BlockingIOError):
            raise error
        raise _translated(error)
    return done


@cache
def _tee() -> Callable[[int, int, int, int], int]:
    """Python has no os.tee. Raises Unsupported."""
    try:
        function = ctypes.CDLL(None, use_errno=True).tee
    except (AttributeError, OSError, MemoryError) as error:
        raise Unsupported from error
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
    function.restype = ctypes.c_ssize_t
    return cast("Callable[[int, int, int, int], int]", function)


def forget(source: int, null: int, count: int) -> int:
    """Take up to ``count`` bytes from a pipe to ``null``, which is /dev/null.

    They are not copied. Raises BlockingIOError where nothing is there, Unsupported, OSError.
    """
    try:
        return os.splice(source, null, count, flags=os.SPLICE_F_NONBLOCK)
    except BlockingIOError:
        raise
    except OSError as error:
        raise _translated(error) from error


async def _readable(fd: int, ready: Wait | None) -> None:
    await (trio.lowlevel.wait_readable(fd) if ready is None else ready())


async def _writable(fd: int, ready: Wait | None) -> None:
    await (trio.lowlevel.wait_writable(fd) if ready is None else ready())


def _translated(error: OSError) -> Exception:
    return Unsupported() if error.errno in _UNSUPPORTED else error
