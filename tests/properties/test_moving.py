"""A payload whose sources break anywhere comes out whole, whatever they are made of.

Each source delivers a piece, some of it as a prefix, and then ends or is reset; the next
goes on behind it. Sources are files, pipes and sockets, and all ways of moving are taken.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from annexshell.errors import PayloadShort
from annexshell.model.payload import Payload
from annexshell.transport import moving, syscalls
from annexshell.transport.link import Link
from tests.support.async_tests import first_of

_BYTES = bytes(i * 37 % 251 for i in range(1 << 18))
_LENGTHS = st.one_of(st.integers(0, 20), st.integers(0, 40_000))


@attrs.frozen
class Source:
    """``length`` bytes of content, ``early`` of them as a prefix."""

    kind: str
    length: int
    early: int
    reset: bool


@attrs.define
class World:
    """The descriptors of one example, and the tasks that feed them."""

    nursery: trio.Nursery
    sources: list[Source]
    at: int = 0
    descriptors: list[int] = attrs.field(factory=list)
    payload: Payload = attrs.field(init=False)

    def begin(self, length: int) -> Payload:
        self.payload = Payload(length, os.open(os.devnull, os.O_RDONLY))
        self.descriptors.append(self.payload.descriptor)
        self.payload.substitute = self.take_over
        return self.payload

    async def take_over(self, why: PayloadShort | None = None) -> bool:
        if not self.sources:
            return False
        source = self.sources.pop(0)
        here = len(_BYTES) - self.at
        assert self.payload.length - self.payload.remaining == self.at
        piece = _BYTES[self.at : self.at + min(source.length, here)]
        self.at += len(piece)
        early = min(source.early, len(piece))
        self.payload.prefix = piece[:early]
        self.payload.position = None
        self._open(source, piece[early:])
        return True

    def _open(self, source: Source, rest: bytes) -> None:
        payload = self.payload
        if source.kind == "file":
            with tempfile.TemporaryFile() as file:
                file.write(b"before" + rest)
                file.flush()
                payload.descriptor = os.dup(file.fileno())
            payload.position = len(b"before")
        elif source.kind == "pipe":
            payload.descriptor, writing = os.pipe()
            os.set_blocking(payload.descriptor, False)
            self.nursery.start_soon(_pour, writing, rest)
        else:
            ours, theirs = socket.socketpair()
            if source.reset:
                ours.send(b"never read: the reader is told of a reset")
            ours.setblocking(False)
            payload.descriptor = ours.detach()
            self.nursery.start_soon(_pour, theirs.detach(), rest)
        self.descriptors.append(payload.descriptor)


async def _pour(writing: int, content: bytes) -> None:
    os.set_blocking(writing, False)
    try:
        await syscalls.write_all(writing, content)
    except OSError:
        # Nobody reads on: what was asked for is there.
        assert content
    finally:
        os.close(writing)


SOURCES = st.lists(
    st.builds(
        Source,
        st.sampled_from(["file", "pipe", "socket"]),
        _LENGTHS,
        st.one_of(st.just(0), _LENGTHS),
        st.booleans(),
    ),
    max_size=5,
)


Deliver = Callable[[Payload, bytearray], Awaitable[None]]


async def _feed(payload: Payload, heard: bytearray) -> None:
    async def take(piece: memoryview) -> None:
        heard.extend(piece)

    await moving.feed(payload, take, 7000)


async def _see(payload: Payload, heard: bytearray) -> None:
    target = memoryview(bytearray(9000))
    while payload.remaining:
        await moving.fill(payload, target, heard.extend)


async def _to_pipe(payload: Payload, heard: bytearray) -> None:
    reading, writing = os.pipe()
    await _send(payload, reading, writing, heard)


async def _to_socket(payload: Payload, heard: bytearray) -> None:
    one, other = socket.socketpair()
    await _send(payload, one.detach(), other.detach(), heard)


async def _send(payload: Payload, reading: int, writing: int, heard: bytearray) -> None:
    sink = Link(os.open(os.devnull, os.O_RDONLY), writing, "the sink")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_collect, reading, heard)
        try:
            await moving.send(payload, sink)
        finally:
            sink.close()


async def _to_log(payload: Payload, heard: bytearray) -> None:
    """A file opened for appending takes no splice."""
    with tempfile.NamedTemporaryFile() as file:
        writing = os.open(file.name, os.O_WRONLY | os.O_APPEND)
        sink = Link(os.open(os.devnull, os.O_RDONLY), writing, "the sink")
        try:
            await moving.send(payload, sink)
        finally:
            sink.close()
            heard += file.read()


async def _collect(reading: int, heard: bytearray) -> None:
    """What was sent before a failure is heard too."""
    os.set_blocking(reading, False)
    with trio.CancelScope(shield=True):
        while chunk := await syscalls.read_some(reading, 1 << 16):
            heard += chunk
    os.close(reading)


@contextmanager
def _kernel(refuses: bool) -> Iterator[None]:
    async def refuse(*args: object, **kwargs: object) -> int:
        raise syscalls.Unsupported()

    if not refuses:
        yield
        return
    with (
        mock.patch.object(syscalls, "splice", refuse),
        mock.patch.object(syscalls, "sendfile", refuse),
    ):
        yield


async def _deliver(
    sources: list[Source], length: int, deliver: Deliver, heard: bytearray
) -> Payload:
    async with trio.open_nursery() as nursery:
        world = World(nursery, list(sources))
        payload = world.begin(length)
        try:
            await deliver(payload, heard)
        finally:
            for fd in world.descriptors:
                os.close(fd)
    return payload


@given(
    sources=SOURCES,
    missing=st.one_of(st.just(0), st.integers(1, 1000)),
    deliver=st.sampled_from([_feed, _see, _to_pipe, _to_socket, _to_log]),
    refuses=st.booleans(),
)
def test_what_several_sources_bring_arrives_whole_and_once(
    sources: list[Source], missing: int, deliver: Deliver, refuses: bool
) -> None:
    brought = sum(source.length for source in sources)
    heard = bytearray()

    def run() -> Payload:
        with _kernel(refuses):
            return trio.run(_deliver, sources, brought + missing, deliver, heard)

    if missing:
        with pytest.raises(BaseException) as raised:
            run()
        error = first_of(raised.value)
        assert isinstance(error, PayloadShort), error
        assert error.fields["missing"] == missing
    else:
        assert run().remaining == 0
    assert heard == _BYTES[:brought]


@given(cuts=st.lists(st.integers(0, 400), max_size=6), early=st.integers(0, 50))
def test_a_small_file_is_read_whole_from_several_sources(
    cuts: list[int], early: int
) -> None:
    sources = [Source("file", length, early, False) for length in cuts]

    async def deliver(payload: Payload, heard: bytearray) -> None:
        payload.position = 0
        small = await moving.read_small(payload)
        assert small is not None
        heard += small

    heard = bytearray()
    trio.run(_deliver, sources, sum(cuts), deliver, heard)
    assert heard == _BYTES[: sum(cuts)]
