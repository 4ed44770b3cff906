"""Move a payload from where it is to where it goes: the one chooser of how.

From a file: sendfile. From a pipe or to one: splice. Between sockets: splice through a
pipe. Where the kernel refuses, and where somebody must see the bytes: plain reads. All
keep count in the Payload, so that whoever catches an error knows what is left.

Two things can break, and the difference matters: `PayloadShort` is the source's failure,
`LinkClosed` the sink's. Only the first may be mended, by `Payload.substitute`; what was
counted by then has left the source and reached the sink (or the buffer), so whoever takes
its place begins at exactly the next byte.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable

from annexshell.errors import LinkClosed, PayloadShort, PayloadUnreadable
from annexshell.model.payload import Payload
from annexshell.transport import syscalls, zerocopy
from annexshell.transport.flow import widen, widen_for
from annexshell.transport.link import Link
from annexshell.transport.syscalls import CHUNK, Read, Unsupported

log = logging.getLogger("annexshell.transport")

SMALL = 1 << 16
"""Bytes below which one read and one write beat anything cleverer."""

_FRUITLESS = 64
"""Substitutes in a row that may fail before their first byte."""


async def send(payload: Payload, link: Link) -> None:
    """All of ``payload`` to ``link``.

    Raises PayloadShort if the source ends early or stalls and nobody takes its place,
    LinkClosed if the sink is gone or takes no more.
    """
    substitutes = _Substitutes(payload)
    while True:
        try:
            return await _send(payload, link)
        except PayloadShort as error:
            if not await substitutes.found(error):
                raise


async def _send(payload: Payload, link: Link) -> None:
    if payload.prefix:
        await link.write(payload.take_prefix(payload.remaining))
    await _by_what_works(payload, link)
    if payload.remaining:
        raise PayloadShort(name=payload.source, missing=payload.remaining)


async def read_small(payload: Payload) -> bytearray | None:
    """The whole of a small file payload, to be sent together with what goes around it.

    None if it is not small or not a file; nothing was moved then. Raises PayloadShort.
    """
    if payload.position is None or payload.remaining > SMALL:
        return None
    data = bytearray(payload.remaining)
    rest = memoryview(data)
    while payload.remaining:
        rest = rest[await fill(payload, rest) :]
    return data


async def fill(
    payload: Payload,
    target: memoryview,
    seen: Callable[[memoryview], object] = lambda piece: None,
    read: Read | None = None,
) -> int:
    """Read the next bytes of ``payload`` until ``target`` is full or none remain.

    ``seen`` is given each piece as soon as it is there. With ``read``, which takes them
    from the descriptor instead, the first piece is all.

    Returns their number. Raises PayloadShort where not one more byte comes, from a
    substitute neither: what came before the source's early end is handed over first, for
    a resume.
    """
    substitutes = _Substitutes(payload)
    filled = 0
    while filled < len(target) and payload.remaining:
        wanted = target[filled : filled + payload.remaining]
        try:
            count = await _next(payload, wanted, read or syscalls.read_now)
        except PayloadShort as error:
            if filled:
                # It will be raised again.
                break
            if not await substitutes.found(error):
                raise
            continue
        seen(wanted[:count])
        filled += count
        if read is not None:
            break
    return filled


class _Substitutes:
    """Who takes the place of a source that broke, for one call of `send` or `fill`."""

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._left = payload.remaining
        self._fruitless = 0

    async def found(self, error: PayloadShort) -> bool:
        """Whether the payload goes on from somebody else; False also where none helps."""
        if self._payload.substitute is None:
            return False
        if self._payload.remaining < self._left:
            self._left = self._payload.remaining
            self._fruitless = 0
        self._fruitless += 1
        if self._fruitless > _FRUITLESS or not await self._payload.substitute(error):
            return False
        # What broke is told by whoever knows both of them.
        log.debug("%s; the rest comes from %s", error, self._payload.source)
        return True


async def _next(payload: Payload, target: memoryview, read: Read) -> int:
    """Read at least one byte into ``target``; the number read. Raises PayloadShort."""
    if payload.prefix:
        prefix = payload.take_prefix(len(target))
        target[: len(prefix)] = prefix
        return len(prefix)
    count = await _read(payload, target, read)
    if count == 0:
        raise PayloadShort(name=payload.source, missing=payload.remaining)
    payload.moved(count)
    return count


async def drain(payload: Payload) -> None:
    """Read what remains and forget it. Raises PayloadShort."""
    scratch = memoryview(bytearray(min(CHUNK, max(payload.remaining, 1))))
    while payload.remaining:
        await fill(payload, scratch)


async def feed(
    payload: Payload, take: Callable[[memoryview], Awaitable[None]], size: int = CHUNK
) -> None:
    """Give ``take`` the payload in pieces; each is only good until the next.

    Raises PayloadShort, and what ``take`` raises.
    """
    buffer = memoryview(bytearray(max(min(size, payload.remaining), 1)))
    while payload.remaining:
        await take(buffer[: await fill(payload, buffer)])


async def _read(payload: Payload, target: memoryview, read: Read) -> int:
    """The number of bytes read; 0 where no more come. Raises PayloadShort."""
    try:
        if payload.position is not None:
            return os.preadv(payload.descriptor, [target], payload.position)
        return await syscalls.read_into(payload.descriptor, target, payload.ready, read)
    except OSError as error:
        detail = error.strerror or str(error)
        raise PayloadUnreadable(name=payload.source, detail=detail) from error


Way = Callable[[Payload, Link], Awaitable[None]]


def ways(payload: Payload) -> tuple[Way, ...]:
    """How it may be moved, the best first; the last works for everything."""
    if not zerocopy.allowed:
        return (by_copy,)
    if payload.position is not None:
        return by_sendfile, by_copy
    return by_splice, by_pipe, by_copy


async def _by_what_works(payload: Payload, link: Link) -> None:
    """Raises LinkClosed, and PayloadShort where the source stalls.

    An error of the kernel's (a bad disk, a reset) does not tell which side it was;
    nothing was moved by that call. So a copy goes on: it reads and writes apart, comes to
    the same error, and knows. Only EPIPE is never the source's.
    """
    for way in ways(payload):
        try:
            return await way(payload, link)
        except Unsupported:
            continue
        except BrokenPipeError as error:
            raise LinkClosed(name=link.name) from error
        except OSError as error:
            log.debug("%s to %s: %s", payload.source, link.name, error.strerror)
            return await by_copy(payload, link)


async def by_sendfile(payload: Payload, link: Link) -> None:
    """From a file. As all ways: raises Unsupported before the first byte, and OSError."""
    with link.paced(payload) as paced:
        while payload.remaining:
            assert payload.position is not None
            count = await syscalls.sendfile(
                link.writing,
                payload.descriptor,
                payload.position,
                payload.remaining,
                link.writable,
            )
            if count == 0:
                return
            payload.moved(count)
            if paced and payload.remaining:
                # It is full: to be told so would mean waiting for the reader's copy.
                await link.writable()


async def by_splice(payload: Payload, link: Link) -> None:
    """From a pipe, or to one."""
    with link.paced(payload):
        while payload.remaining:
            count = await syscalls.splice(
                link.writing,
                payload.descriptor,
                min(payload.remaining, CHUNK),
                payload.ready,
                link.writable,
            )
            if count == 0:
                return
            payload.moved(count)


async def by_pipe(payload: Payload, link: Link) -> None:
    """Between two that are no pipes, through one of ours."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    count = 0
    try:
        widen(writing)
        while payload.remaining:
            wanted = min(payload.remaining, CHUNK)
            count = await syscalls.splice(
                writing, payload.descriptor, wanted, payload.ready
            )
            if count == 0:
                return
            payload.moved(count)
            while count:
                count -= await syscalls.splice(
                    link.writing, reading, count, out_ready=link.writable
                )
    except (Unsupported, OSError):
        # If for the sink: what is in the pipe already must not be left out.
        while count:
            chunk = os.read(reading, count)
            await link.write(chunk)
            count -= len(chunk)
        raise
    finally:
        os.close(reading)
        os.close(writing)


async def by_copy(payload: Payload, link: Link) -> None:
    """Through our memory; a pause would only let that grow cold."""
    widen_for(link.writing, payload.remaining)
    await feed(payload, link.write)
