"""Every way of moving bytes moves the same bytes, and tells whose failure it was."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio

from annexshell.errors import LinkClosed, PayloadShort
from annexshell.model.payload import Payload
from annexshell.transport import moving, syscalls
from annexshell.transport.link import Link
from tests.support.async_tests import trio_test

CONTENT = (bytes(i * 31 % 253 for i in range(253)) * 6720)[:1_700_000]
Ends = tuple[int, int]


async def never(why: PayloadShort) -> bool:
    raise AssertionError("nobody may ask for a substitute here")


def pipe() -> Ends:
    return os.pipe()


def sockets() -> Ends:
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def link_from(fd: int) -> Link:
    """A Link that only reads."""
    return Link(fd, os.open(os.devnull, os.O_WRONLY), "the source")


def link_to(fd: int) -> Link:
    """A Link that only writes."""
    return Link(os.open(os.devnull, os.O_RDONLY), fd, "the sink")


async def pour(fd: int, content: bytes) -> None:
    link = link_to(fd)
    try:
        await link.write(content)
    finally:
        link.close()


async def collect(link: Link, into: bytearray) -> None:
    while chunk := await link.read(1 << 16):
        into += chunk
    link.close()


every_source = pytest.mark.parametrize("source", [pipe, sockets])
every_sink = pytest.mark.parametrize("sink", [pipe, sockets])


@pytest.fixture(params=["kernel", "refusing kernel"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel as it is, and one that neither splices nor sends files."""
    if request.param == "kernel":
        return

    async def refuse(*args: int) -> int:
        raise syscalls.Unsupported()

    monkeypatch.setattr(syscalls, "splice", refuse)
    monkeypatch.setattr(syscalls, "sendfile", refuse)


async def moved(payload: Payload, sink: Ends) -> bytes:
    heard = bytearray()
    reading, writing = sink
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect, link_from(reading), heard)
        out = link_to(writing)
        try:
            await moving.send(payload, out)
        finally:
            out.close()
    return bytes(heard)


@every_source
@every_sink
@trio_test
async def test_from_a_stream(
    source: Callable[[], Ends], sink: Callable[[], Ends], kernel: None
) -> None:
    reading, writing = source()
    link = link_from(reading)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pour, writing, CONTENT[10:] + b"next message")
        payload = Payload(len(CONTENT), link.reading, prefix=CONTENT[:10])
        assert await moved(payload, sink()) == CONTENT
        assert payload.remaining == 0
        # What belongs to the next message was left alone.
        assert await link.read(100) == b"next message"
    link.close()


@pytest.mark.parametrize("call", ["sendfile", "splice"])
@trio_test
async def test_a_disk_that_cannot_be_read_is_a_source_that_ends_early(
    call: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*args: object, **kwargs: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for name in (call, "preadv", "readv"):
        monkeypatch.setattr(os, name, broken)
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        at = 0 if call == "sendfile" else None
        payload = Payload(len(CONTENT), file.fileno(), position=at)
        reading, writing = pipe()
        link = link_to(writing)
        with pytest.raises(PayloadShort):
            await moving.send(payload, link)
        link.close()
        os.close(reading)


@pytest.mark.parametrize("call", ["sendfile", "splice"])
@trio_test
async def test_an_error_that_does_not_say_whose_it_is_ends_nothing_yet(
    call: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Reading and writing apart comes to the same error, if it is still there."""
    real, calls = getattr(os, call), 0

    def broken(*args: int, **flags: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return int(real(*args, **flags))

    monkeypatch.setattr(os, call, broken)
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        at = 0 if call == "sendfile" else None
        payload = Payload(len(CONTENT), file.fileno(), position=at)
        assert await moved(payload, pipe()) == CONTENT
    assert calls == 2


@trio_test
async def test_what_left_the_source_and_cannot_be_sent_is_the_sink_s_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two sockets the last bytes may be in a pipe of ours when the sink fails."""
    (source, into), (sink, out) = sockets(), sockets()
    splice, write = os.splice, os.write

    def unreachable(fd: int, target: int, *rest: int, **flags: int) -> int:
        if target == sink and fd != source:
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        return splice(fd, target, *rest, **flags)

    def refused(fd: int, data: bytes) -> int:
        if fd == sink:
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        return write(fd, data)

    os.write(into, b"content")
    link = link_to(sink)
    monkeypatch.setattr(os, "splice", unreachable)
    monkeypatch.setattr(os, "write", refused)
    payload = Payload(7, source, substitute=never)
    with pytest.raises(LinkClosed):
        await moving.send(payload, link)
    link.close()
    for fd in (source, into, out):
        os.close(fd)


@every_sink
@trio_test
async def test_from_a_file(
    sink: Callable[[], Ends], kernel: None, tmp_path: Path
) -> None:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        payload = Payload(len(CONTENT) - 7, file.fileno(), position=7)
        assert await moved(payload, sink()) == CONTENT[7:]


@every_source
@trio_test
async def test_a_source_that_ends_early(
    source: Callable[[], Ends], kernel: None
) -> None:
    reading, writing = source()
    link = link_from(reading)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pour, writing, CONTENT[:1000])
        payload = Payload(2000, link.reading, source="somebody")
        into, out = os.pipe()
        sink = link_to(out)
        with pytest.raises(PayloadShort, match="somebody delivered 1000 bytes less"):
            await moving.send(payload, sink)
        sink.close()
        os.close(into)
    link.close()


@trio_test
async def test_a_file_that_was_cut_short(tmp_path: Path, kernel: None) -> None:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        payload = Payload(len(CONTENT), file.fileno(), position=0)
        os.truncate(path, 1000)
        sink = link_to(os.open(os.devnull, os.O_WRONLY))
        with pytest.raises(PayloadShort):
            await moving.send(payload, sink)
        sink.close()


@pytest.mark.parametrize("sink", [pipe, sockets])
@trio_test
async def test_a_sink_that_goes_away(
    sink: Callable[[], Ends], kernel: None, tmp_path: Path
) -> None:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    reading, writing = sink()
    os.close(reading)
    link = link_to(writing)
    with path.open("rb") as file:
        payload = Payload(len(CONTENT), file.fileno(), position=0)
        with pytest.raises(LinkClosed):
            await moving.send(payload, link)
    link.close()


@trio_test
async def test_a_sink_that_has_gone_away_is_noticed_without_the_source() -> None:
    """Which may be silent, and whose bytes somebody else may want."""
    (reading, writing), (gone, out) = pipe(), pipe()
    os.close(gone)
    os.write(writing, b"content")
    source, sink = link_from(reading), link_to(out)
    payload = Payload(100, source.reading)
    with pytest.raises(LinkClosed):
        await moving.send(payload, sink)
    assert payload.remaining == 100
    sink.close()
    source.close()
    os.close(writing)


@trio_test
async def test_what_came_before_an_early_end_is_handed_over() -> None:
    reading, writing = os.pipe()
    link = link_from(reading)
    await pour(writing, b"12345")
    payload = Payload(9, link.reading, prefix=b"ab")
    target = memoryview(bytearray(8))
    assert await moving.fill(payload, target) == 7
    assert bytes(target[:7]) == b"ab12345"
    with pytest.raises(PayloadShort):
        await moving.fill(payload, target)
    link.close()


@trio_test
async def test_draining_leaves_the_next_message() -> None:
    reading, writing = os.pipe()
    link = link_from(reading)
    await pour(writing, b"x" * 30 + b"VALID\n")
    await moving.drain(Payload(40, link.reading, prefix=b"y" * 10))
    assert await link.read(100) == b"VALID\n"
    link.close()


@trio_test
async def test_small_files_are_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(b"small")
    with path.open("rb") as file:
        small = await moving.read_small(Payload(4, file.fileno(), position=1))
        assert small is not None and bytes(small) == b"mall"
        with pytest.raises(PayloadShort):
            await moving.read_small(Payload(6, file.fileno(), position=0))
    stream = Payload(3, 0, prefix=b"abc")
    assert await moving.read_small(stream) is None


@trio_test
async def test_a_sink_that_cannot_be_spliced_to_misses_nothing(tmp_path: Path) -> None:
    """Such as a file opened for appending: the kernel says so with bytes in its hands."""
    reading, writing = pipe()
    log = tmp_path / "sink"
    sink = link_to(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    source = link_from(reading)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pour, writing, CONTENT)
        await moving.send(Payload(len(CONTENT), source.reading), sink)
    sink.close()
    source.close()
    assert log.read_bytes() == CONTENT


@trio_test
async def test_a_source_that_cannot_be_read_is_one_that_ends_early() -> None:
    """A disk's EIO, say; a directory's EISDIR is easier to have."""
    fd = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(PayloadShort):
            await moving.read_small(Payload(10, fd, position=0, source="a disk"))
        with pytest.raises(PayloadShort):
            await moving.drain(Payload(10, fd, position=0, source="a disk"))
    finally:
        os.close(fd)


# -- going on from another source ------------------------------------------------------------


@attrs.define
class Others:
    """Files that take the place of a source, one after the other, at the same byte.

    Each has the content, from which ``lack`` bytes are missing at its end.
    """

    directory: Path
    lacks: list[int]
    payload: Payload = attrs.field(init=False)
    asked: int = 0
    opened: list[int] = attrs.field(factory=list)

    def of(self, payload: Payload) -> Payload:
        self.payload = payload
        payload.substitute = self.take_over
        return payload

    async def take_over(self, why: PayloadShort) -> bool:
        self.asked += 1
        if not self.lacks:
            return False
        path = self.directory / "other"
        path.write_bytes(CONTENT[: len(CONTENT) - self.lacks.pop(0)])
        fd = os.open(path, os.O_RDONLY)
        path.unlink()
        self.opened.append(fd)
        payload = self.payload
        payload.descriptor, payload.ready = fd, None
        payload.position = len(CONTENT) - payload.remaining
        payload.source = f"the other {self.asked}"
        return True

    def close(self) -> None:
        for fd in self.opened:
            os.close(fd)


@every_source
@every_sink
@trio_test
async def test_a_source_that_breaks_is_replaced_at_the_same_byte(
    source: Callable[[], Ends], sink: Callable[[], Ends], kernel: None, tmp_path: Path
) -> None:
    reading, writing = source()
    link = link_from(reading)
    others = Others(tmp_path, [20_000, 0])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pour, writing, CONTENT[10:500_000])
        payload = Payload(len(CONTENT), link.reading, prefix=CONTENT[:10])
        assert await moved(others.of(payload), sink()) == CONTENT
    assert others.asked == 2
    assert payload.remaining == 0
    others.close()
    link.close()


@trio_test
async def test_a_source_that_is_reset_is_not_taken_for_the_sink(tmp_path: Path) -> None:
    """A unix socket says so when its peer leaves without having read all it was sent."""
    reading, writing = sockets()
    link = link_from(reading)
    os.write(writing, CONTENT[:1000])
    os.write(link.reading, b"unread")
    os.close(writing)
    others = Others(tmp_path, [0])
    payload = others.of(Payload(len(CONTENT), link.reading))
    assert await moved(payload, pipe()) == CONTENT
    others.close()
    link.close()


@trio_test
async def test_a_source_that_nobody_replaces_ends_early(tmp_path: Path) -> None:
    others = Others(tmp_path, [5])
    reading, writing = pipe()
    os.close(writing)
    payload = others.of(Payload(len(CONTENT), reading))
    with pytest.raises(PayloadShort, match="the other 1 delivered 5 bytes less"):
        await moving.drain(payload)
    assert others.asked == 2
    others.close()
    os.close(reading)


@pytest.mark.parametrize("send", [True, False])
@trio_test
async def test_substitutes_that_bring_nothing_are_not_asked_for_ever(
    send: bool, tmp_path: Path
) -> None:
    async def as_before(why: PayloadShort) -> bool:
        return True

    reading, writing = pipe()
    os.close(writing)
    payload = Payload(9, reading, substitute=as_before)
    sink = link_to(os.open(os.devnull, os.O_WRONLY))
    with pytest.raises(PayloadShort):
        await (moving.send(payload, sink) if send else moving.drain(payload))
    sink.close()
    os.close(reading)


@trio_test
async def test_a_sink_that_goes_away_is_not_replaced(
    kernel: None, tmp_path: Path
) -> None:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    reading, writing = pipe()
    os.close(reading)
    link = link_to(writing)
    with path.open("rb") as file:
        payload = Payload(len(CONTENT), file.fileno(), position=0, substitute=never)
        with pytest.raises(LinkClosed):
            await moving.send(payload, link)
    link.close()


@trio_test
async def test_a_small_file_that_was_cut_short_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(CONTENT[-1000:-10])
    others = Others(tmp_path, [0])
    with path.open("rb") as file:
        payload = others.of(Payload(1000, file.fileno(), position=0))
        small = await moving.read_small(payload)
    assert small is not None and bytes(small) == CONTENT[-1000:]
    others.close()
