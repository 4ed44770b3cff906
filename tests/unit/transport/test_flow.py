"""Pipes and sockets that are left alone: how few wake-ups a payload takes, and how many not."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import tempfile

import pytest
import trio

import annexshell.transport.flow
from annexshell.model.payload import Payload
from annexshell.transport import moving, syscalls
from annexshell.transport.flow import (
    LARGE,
    inflow,
    others,
    outflow,
    queued,
    room_soon,
    widen,
)
from annexshell.transport.link import Link
from tests.support.async_tests import clock_test

MIB = 1 << 20
SIZE = 64 * MIB
PIECE = 1 << 15
"""Bytes that sshd reads and writes at once."""


class Counted:
    """How often a system call was made, and had nothing to do: somebody was waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.calls = self.waits = 0
        self._real = getattr(os, name)
        monkeypatch.setattr(os, name, self._count)

    def _count(self, *args: int, **flags: int) -> int:
        self.calls += 1
        try:
            return int(self._real(*args, **flags))
        except BlockingIOError:
            self.waits += 1
            raise


def by_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all but the shortest pauses go by trio's clock, which the test's readers go by."""
    monkeypatch.setattr(annexshell.transport.flow, "_ALONE", 0.001)


def pipe_link() -> tuple[Link, int]:
    """A Link that only writes, and the other end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return Link(os.open(os.devnull, os.O_RDONLY), writing, "the sink"), reading


async def sip(reading: int, size: int, speed: float) -> float:
    """Read as sshd does, at so many bytes a second; the seconds that nothing was there."""
    target, idle = memoryview(bytearray(PIECE)), 0.0
    while size:
        begun = trio.current_time()
        size -= await syscalls.read_into(reading, target)
        idle += trio.current_time() - begun
        await trio.sleep(PIECE / speed)
    return idle


@pytest.mark.thorough
@pytest.mark.parametrize("speed", [5e6, 40e6, 80e6])
@clock_test
async def test_a_reader_of_small_pieces_costs_a_wake_up_for_each_pipe_full(
    speed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_its_clock(monkeypatch)
    sent = Counted(monkeypatch, "sendfile")
    link, reading = pipe_link()
    idle = 0.0
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)

        async def read() -> None:
            nonlocal idle
            idle = await sip(reading, SIZE, speed)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await moving.send(Payload(SIZE, file.fileno(), position=0), link)
    seconds = SIZE / speed
    # One for most of a megabyte, or ten a second.
    assert sent.calls <= max(1.7 * SIZE / MIB, 12 * seconds)
    assert idle < 0.02 * seconds
    link.close()
    os.close(reading)


@clock_test
async def test_a_writer_of_small_pieces_is_read_in_large_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_its_clock(monkeypatch)
    reading, writing = os.pipe()
    source = Link(reading, os.open(os.devnull, os.O_WRONLY), "the source")
    os.set_blocking(writing, False)
    payload = Payload(SIZE, reading)
    payload.ready = source.arrival(payload)

    async def write() -> None:
        for _ in range(SIZE // PIECE):
            await syscalls.write_all(writing, bytes(PIECE))
            await trio.sleep(PIECE / 40e6)

    read = Counted(monkeypatch, "readv")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await moving.drain(payload)
    assert read.waits <= 1.7 * SIZE / MIB
    # The last bytes were not waited for any longer than it took to write them.
    assert trio.current_time() <= SIZE / 40e6 * 1.02
    source.close()
    os.close(writing)


@clock_test
async def test_small_payloads_never_pause() -> None:
    link, reading = pipe_link()
    content = os.urandom(LARGE - 1)
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sip, reading, len(content), 1e12)
            await moving.send(Payload(len(content), file.fileno(), position=0), link)
    assert outflow(link.writing, LARGE - 1) is None
    link.close()
    os.close(reading)


@pytest.mark.thorough
@clock_test
async def test_who_pauses_can_be_cancelled() -> None:
    link, reading = pipe_link()
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        payload = Payload(SIZE, file.fileno(), position=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sip, reading, SIZE, 30e6)
            with trio.move_on_after(1) as scope:
                await moving.send(payload, link)
            nursery.cancel_scope.cancel()
    assert scope.cancelled_caught and trio.current_time() == pytest.approx(1)
    assert payload.remaining < SIZE
    link.close()
    os.close(reading)


@clock_test
async def test_room_is_waited_for_here_only_while_that_keeps_nobody() -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    assert await room_soon(writing)
    os.write(writing, bytes(1 << 16))
    assert not await room_soon(writing), "it is full, and nobody reads"
    os.read(reading, 1 << 16)
    with others:
        assert not await room_soon(writing), "another task waits for bytes to move"
    assert await room_soon(writing)
    with trio.CancelScope() as scope:
        scope.cancel()
        await room_soon(writing)
    assert scope.cancelled_caught
    os.close(reading)
    assert await room_soon(writing), "whoever writes hears that nobody reads"
    os.close(writing)


def test_pipes_are_widened_for_what_is_not_small() -> None:
    reading, writing = os.pipe()
    narrow = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    assert inflow(writing, 1 << 16) is None
    assert fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ) == narrow
    assert inflow(writing, 1 << 17) is None
    assert fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ) >= narrow
    os.close(reading)
    os.close(writing)


def test_a_refusal_to_widen_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    reading, writing = os.pipe()
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    widen(writing)
    os.close(reading)
    os.close(writing)


def test_what_is_written_to_a_unix_socket_has_more_room() -> None:
    one, other = socket.socketpair()
    before = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    widen(one.fileno())
    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= before
    one.close()
    other.close()


def test_the_buffers_of_tcp_are_left_to_the_kernel() -> None:
    with socket.socket() as peer:
        before = peer.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        widen(peer.fileno())
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before


def test_what_is_neither_pipe_nor_socket_has_no_flow() -> None:
    with tempfile.TemporaryFile() as file:
        assert stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        assert inflow(file.fileno(), SIZE) is None
        assert outflow(file.fileno(), SIZE) is None


@pytest.mark.parametrize("pipes", [True, False])
def test_what_lies_in_between_is_known(pipes: bool) -> None:
    if pipes:
        reading, writing = os.pipe()
    else:
        one, other = socket.socketpair()
        reading, writing = one.detach(), other.detach()
    assert queued(reading) == 0
    os.write(writing, b"12345")
    assert queued(reading) == 5
    os.close(reading)
    os.close(writing)
