"""Each way of moving bytes, by itself: between all it can do, and when either side breaks."""

from __future__ import annotations

import ctypes
import os
import socket
import tempfile

import pytest
import trio

from annexshell.errors import LinkClosed, LinkStalled, PayloadShort
from annexshell.model.payload import Payload
from annexshell.transport import moving, syscalls, zerocopy
from annexshell.transport.link import Link
from annexshell.transport.moving import Way, by_copy, by_pipe, by_sendfile, by_splice
from annexshell.transport.syscalls import Unsupported
from tests.support.async_tests import clock_test, trio_test

CONTENT = (bytes(i * 29 % 251 for i in range(251)) * 9961)[:2_500_000]
STALL = 10.0
MUCH = 32 << 20
"""More than all buffers on the way."""
BETWEEN = [
    *((by_sendfile, "file", sink) for sink in ("pipe", "socket", "file")),
    *((by_splice, "pipe", sink) for sink in ("pipe", "socket", "file")),
    (by_splice, "socket", "pipe"),
    *((by_pipe, source, "socket") for source in ("pipe", "socket")),
    *((by_pipe, source, "file") for source in ("pipe", "socket")),
    *(
        (by_copy, source, sink)
        for source in ("file", "pipe", "socket")
        for sink in ("pipe", "socket", "file")
    ),
]
NAMES = [f"{way.__name__} {source} {sink}" for way, source, sink in BETWEEN]
every_way = pytest.mark.parametrize(("way", "source", "sink"), BETWEEN, ids=NAMES)
STREAMS = [entry for entry in BETWEEN if "file" != entry[1]]
FROM_STREAMS = pytest.mark.parametrize(
    ("way", "source", "sink"),
    STREAMS,
    ids=[name for name, entry in zip(NAMES, BETWEEN, strict=True) if entry in STREAMS],
)
TO_PEERS = pytest.mark.parametrize(
    ("way", "source", "sink"),
    [entry for entry in BETWEEN if entry[2] != "file"],
    ids=[name for name in NAMES if not name.endswith("file")],
)


def forced(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other way may be taken."""
    monkeypatch.setattr(moving, "ways", lambda payload: (way,))
    if way is not by_copy:

        async def other(payload: Payload, link: Link) -> None:
            raise AssertionError("it was copied")

        monkeypatch.setattr(moving, "by_copy", other)


class Ends:
    """The descriptors of one test, made by kind, and closed."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *exception: object) -> None:
        for fd in self._open:
            os.close(fd)

    def close(self, fd: int) -> None:
        self._open.remove(fd)
        os.close(fd)

    def pair(self, kind: str) -> tuple[int, int]:
        """To be read, and to be written."""
        if kind == "pipe":
            ends = os.pipe()
        elif kind == "socket":
            one, other = socket.socketpair()
            ends = one.detach(), other.detach()
        else:
            with tempfile.NamedTemporaryFile() as file:
                ends = os.open(file.name, os.O_RDONLY), os.open(file.name, os.O_WRONLY)
        self._open += ends
        for fd in ends:
            os.set_blocking(fd, False)
        return ends

    def link(self, *, reading: int = -1, writing: int = -1) -> Link:
        """A Link by duplicates, with nothing at its other side."""
        reading = os.dup(reading) if reading >= 0 else os.open("/dev/null", os.O_RDONLY)
        writing = os.dup(writing) if writing >= 0 else os.open("/dev/null", os.O_WRONLY)
        link = Link(reading, writing, "the peer")
        link.stall = STALL
        return link

    async def payload(
        self, kind: str, content: bytes, length: int, nursery: trio.Nursery
    ) -> Payload:
        reading, writing = self.pair(kind)
        if kind == "file":
            await syscalls.write_all(writing, content)
            return Payload(length, reading, position=0)
        peer = self.link(reading=reading)
        payload = Payload(length, reading, source="the peer")
        payload.ready = peer.arrival(payload)
        nursery.start_soon(self._pour, writing, content)
        return payload

    async def _pour(self, writing: int, content: bytes) -> None:
        try:
            await syscalls.write_all(writing, content)
        finally:
            self.close(writing)


async def heard(reading: int, into: bytearray) -> None:
    while chunk := await syscalls.read_some(reading, 50_000):
        into += chunk


async def sent(ends: Ends, payload: Payload, kind: str) -> bytes:
    """What arrives at a sink of that kind."""
    reading, writing = ends.pair(kind)
    link, into = ends.link(writing=writing), bytearray()
    async with trio.open_nursery() as nursery:
        if kind != "file":
            nursery.start_soon(heard, reading, into)
        try:
            await moving.send(payload, link)
        finally:
            link.close()
            ends.close(writing)
    if kind == "file":
        await heard(reading, into)
    return bytes(into)


@every_way
@trio_test
async def test_the_same_bytes_arrive(
    way: Way, source: str, sink: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced(way, monkeypatch)
    with Ends() as ends:
        async with trio.open_nursery() as nursery:
            payload = await ends.payload(source, CONTENT, len(CONTENT), nursery)
            assert await sent(ends, payload, sink) == CONTENT
            assert payload.remaining == 0


@every_way
@trio_test
async def test_what_came_before_the_source_ended_arrives(
    way: Way, source: str, sink: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced(way, monkeypatch)
    with Ends() as ends:
        async with trio.open_nursery() as nursery:
            length = len(CONTENT) + 100
            payload = await ends.payload(source, CONTENT, length, nursery)
            reading, writing = ends.pair(sink)
            link, into = ends.link(writing=writing), bytearray()
            if sink != "file":
                nursery.start_soon(heard, reading, into)
            with pytest.raises(PayloadShort) as raised:
                await moving.send(payload, link)
            assert raised.value.fields["missing"] == payload.remaining == 100
            link.close()
            ends.close(writing)
        if sink == "file":
            await heard(reading, into)
        assert into == CONTENT


@pytest.mark.thorough
@TO_PEERS
@trio_test
async def test_a_sink_that_closes_in_the_middle(
    way: Way, source: str, sink: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced(way, monkeypatch)
    with Ends() as ends:
        async with trio.open_nursery() as nursery:
            payload = await ends.payload(source, bytes(MUCH), MUCH, nursery)
            reading, writing = ends.pair(sink)
            link = ends.link(writing=writing)

            async def leave() -> None:
                await syscalls.read_some(reading, 1000)
                ends.close(reading)

            nursery.start_soon(leave)
            with pytest.raises(LinkClosed):
                await moving.send(payload, link)
            assert 0 < payload.remaining < MUCH
            link.close()
            nursery.cancel_scope.cancel()


@pytest.mark.thorough
@TO_PEERS
@clock_test
async def test_a_sink_that_stalls_in_the_middle(
    way: Way, source: str, sink: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts from when it took the last bytes, or a pause later."""
    forced(way, monkeypatch)
    with Ends() as ends:
        async with trio.open_nursery() as nursery:
            payload = await ends.payload(source, bytes(MUCH), MUCH, nursery)
            reading, writing = ends.pair(sink)
            link, last = ends.link(writing=writing), 0.0

            async def sip() -> None:
                nonlocal last
                for _ in range(100):
                    await trio.sleep(0.01)
                    await syscalls.read_some(reading, 100_000)
                    last = trio.current_time()

            nursery.start_soon(sip)
            with pytest.raises(LinkStalled):
                await moving.send(payload, link)
            assert STALL <= trio.current_time() - last + 0.1 <= STALL + 0.3
            link.close()
            nursery.cancel_scope.cancel()


@FROM_STREAMS
@clock_test
async def test_a_source_that_stalls_in_the_middle(
    way: Way, source: str, sink: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced(way, monkeypatch)
    with Ends() as ends:
        reading, writing = ends.pair(source)
        peer = ends.link(reading=reading)
        payload = Payload(MUCH, reading)
        payload.ready = peer.arrival(payload)
        os.write(writing, b"begun")
        taken, out = ends.pair(sink)
        link = ends.link(writing=out)
        with pytest.raises(PayloadShort):
            await moving.send(payload, link)
        assert trio.current_time() == pytest.approx(STALL)
        assert payload.remaining == MUCH - len(b"begun")
        assert os.read(taken, 100) == b"begun"
        link.close()
        peer.close()


@pytest.mark.parametrize(
    ("way", "source", "sink"), [(by_sendfile, "file", "log"), (by_splice, "log", "log")]
)
@trio_test
async def test_a_way_that_cannot_says_so_before_the_first_byte(
    way: Way, source: str, sink: str
) -> None:
    with Ends() as ends, tempfile.NamedTemporaryFile() as log:
        reading, _ = ends.pair("socket" if source == "log" else "file")
        out = os.open(log.name, os.O_WRONLY | os.O_APPEND)
        link = ends.link(writing=out)
        payload = Payload(10, reading, position=0 if source == "file" else None)
        os.write(_, b"0123456789")
        with pytest.raises((Unsupported, OSError)):
            await way(payload, link)
        assert payload.remaining == 10
        link.close()
        os.close(out)


@pytest.mark.parametrize("source", ["file", "pipe", "socket"])
def test_without_zero_copy_all_is_copied(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = Payload(10, position=0 if source == "file" else None)
    assert len(moving.ways(payload)) > 1
    monkeypatch.setattr(zerocopy, "allowed", False)
    assert moving.ways(payload) == (by_copy,)


# -- tee ---------------------------------------------------------------------------------------


def test_tee_leaves_what_it_gives() -> None:
    with Ends() as ends:
        reading, writing = ends.pair("pipe")
        others = [ends.pair("pipe") for _ in range(3)]
        os.write(writing, b"0123456789")
        for _, out in others:
            assert syscalls.tee(reading, out, 8) == 8
        assert os.read(reading, 100) == b"0123456789"
        assert [os.read(other, 100) for other, _ in others] == [b"01234567"] * 3


def test_tee_never_waits() -> None:
    with Ends() as ends:
        (reading, writing), (_, out) = ends.pair("pipe"), ends.pair("pipe")
        with pytest.raises(BlockingIOError):
            syscalls.tee(reading, out, 10)
        os.write(writing, b"x")
        os.write(out, bytes(1 << 16))
        with pytest.raises(BlockingIOError):
            syscalls.tee(reading, out, 10)


def test_tee_tells_the_end() -> None:
    with Ends() as ends:
        (reading, writing), (_, out) = ends.pair("pipe"), ends.pair("pipe")
        ends.close(writing)
        assert syscalls.tee(reading, out, 10) == 0


@pytest.mark.parametrize("kinds", [("socket", "pipe"), ("pipe", "socket")])
def test_tee_is_for_pipes(kinds: tuple[str, str]) -> None:
    with Ends() as ends:
        (reading, writing), (_, out) = map(ends.pair, kinds)
        os.write(writing, b"x")
        with pytest.raises(Unsupported):
            syscalls.tee(reading, out, 1)


def test_tee_tells_of_other_failures() -> None:
    with Ends() as ends:
        (reading, writing), (other, out) = ends.pair("pipe"), ends.pair("pipe")
        os.write(writing, b"x")
        ends.close(other)
        with pytest.raises(BrokenPipeError):
            syscalls.tee(reading, out, 1)


@pytest.mark.parametrize("missing", [AttributeError, OSError, MemoryError])
def test_where_there_is_no_tee(
    monkeypatch: pytest.MonkeyPatch, missing: type[Exception]
) -> None:
    def none(*args: object, **words: object) -> object:
        raise missing

    monkeypatch.setattr(ctypes, "CDLL", none)
    syscalls._tee.cache_clear()
    try:
        with Ends() as ends:
            (reading, _), (_, out) = ends.pair("pipe"), ends.pair("pipe")
            with pytest.raises(Unsupported):
                syscalls.tee(reading, out, 1)
    finally:
        syscalls._tee.cache_clear()


def test_what_is_shared_is_not_what_is_written_behind_it() -> None:
    """The writer goes on in the same page."""
    with Ends() as ends:
        (reading, writing), (other, out) = ends.pair("pipe"), ends.pair("pipe")
        os.write(writing, b"0123")
        assert syscalls.tee(reading, out, 100) == 4
        os.write(writing, b"4567")
        os.write(out, b"abcd")
        assert os.read(reading, 100) == b"01234567"
        assert os.read(other, 100) == b"0123abcd"


def test_what_is_forgotten_is_gone() -> None:
    with Ends() as ends, open(os.devnull, "wb") as null:
        reading, writing = ends.pair("pipe")
        os.write(writing, b"0123456789")
        assert syscalls.forget(reading, null.fileno(), 4) == 4
        assert os.read(reading, 100) == b"456789"
        with pytest.raises(BlockingIOError):
            syscalls.forget(reading, null.fileno(), 4)


def test_not_everything_can_be_forgotten() -> None:
    with Ends() as ends, tempfile.TemporaryFile() as file:
        with pytest.raises(Unsupported):
            syscalls.forget(file.fileno(), ends.pair("socket")[1], 4)
        reading, writing = ends.pair("pipe")
        os.write(writing, b"x")
        with pytest.raises(OSError, match="Bad file"):
            syscalls.forget(reading, reading, 4)
