"""Every wait for a peer ends: on a clock that only moves when all tasks wait."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable

import pytest
import trio

from annexshell.errors import LinkClosed, LinkStalled, PayloadStalled
from annexshell.model.payload import Payload
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import Role
from annexshell.transport import moving, syscalls
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.async_tests import clock_test
from tests.support.pair import NODE, link_pair

IDLE, STALL = 1000.0, 10.0
BIG = 16 << 20
"""More than any buffer: one pipe takes 8 MiB, if spliced from a socket."""

Act = Callable[[Link], Awaitable[object]]


def limited(*, pipes: bool = True) -> tuple[Link, Link]:
    ours, theirs = link_pair(pipes=pipes)
    ours.idle, ours.stall = IDLE, STALL
    return ours, theirs


async def stalled(act: Act, seconds: float, *, pipes: bool = True) -> str:
    """``act`` on a link whose peer does nothing ends after so long; the complaint."""
    ours, theirs = limited(pipes=pipes)
    try:
        with pytest.raises((LinkStalled, PayloadStalled)) as raised:
            await act(ours)
        assert trio.current_time() == pytest.approx(seconds)
        with pytest.raises((LinkStalled, PayloadStalled)):
            await act(ours)
        assert trio.current_time() == pytest.approx(seconds)
    finally:
        ours.close()
        theirs.close()
    return str(raised.value)


def payload(link: Link) -> Payload:
    return Payload(BIG, link.reading, ready=link.payload_ready)


@clock_test
async def test_a_message_is_waited_for_while_the_peer_may_be_silent() -> None:
    said = await stalled(lambda link: link.read(100), IDLE)
    assert said == "the node was silent for 1000s"


@clock_test
async def test_what_is_owed_is_waited_for_as_a_payload_is() -> None:
    assert await stalled(lambda link: link.read(100, owed=True), STALL)


@pytest.mark.parametrize("pipes", [True, False])
@clock_test
async def test_a_write_to_a_peer_that_stopped_reading(pipes: bool) -> None:
    said = await stalled(lambda link: link.write(bytes(BIG)), STALL, pipes=pipes)
    assert said == "the node took no more bytes for 10s"


@clock_test
async def test_bytes_of_a_payload() -> None:
    said = await stalled(lambda link: moving.drain(payload(link)), STALL)
    assert said == "the node was silent for 10s in the middle of a payload"


@pytest.mark.parametrize("pipes", [True, False])
@clock_test
async def test_a_relayed_payload_whose_source_stalls(pipes: bool) -> None:
    sink, end = link_pair(pipes=pipes)
    await stalled(lambda link: moving.send(payload(link), sink), STALL, pipes=pipes)
    sink.close()
    end.close()


@pytest.mark.parametrize("pipes", [True, False])
@clock_test
async def test_a_relayed_payload_whose_sink_stalls(pipes: bool) -> None:
    source, end = link_pair(pipes=pipes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end.write, bytes(BIG))
        await stalled(lambda link: moving.send(payload(source), link), STALL)
        nursery.cancel_scope.cancel()
    source.close()
    end.close()


@pytest.mark.parametrize("by", ["sendfile", "copy"])
@pytest.mark.parametrize("pipes", [True, False])
@clock_test
async def test_a_file_that_is_sent_to_a_peer_that_stopped_reading(
    monkeypatch: pytest.MonkeyPatch, pipes: bool, by: str
) -> None:
    async def unsupported(*args: object) -> int:
        raise syscalls.Unsupported()

    if by == "copy":
        monkeypatch.setattr(syscalls, "sendfile", unsupported)
    with tempfile.TemporaryFile() as file:
        file.truncate(BIG)

        async def send(link: Link) -> None:
            await moving.send(Payload(BIG, file.fileno(), position=0), link)

        await stalled(send, STALL, pipes=pipes)


@clock_test
async def test_who_hashes_what_it_has_is_given_time() -> None:
    async def send(link: Link) -> None:
        with link.patient(90):
            await link.write(bytes(BIG))

    assert (await stalled(send, STALL + 90)).endswith("for 100s")


@clock_test
async def test_a_line_that_was_begun_is_owed() -> None:
    ours, theirs = limited()
    channel = Channel(ours, Role.SERVER)
    channel.say(m.AuthSuccess(NODE))
    await theirs.write(b"CHECKPRE")
    with pytest.raises(LinkStalled):
        await channel.receive()
    assert trio.current_time() == STALL
    ours.close()
    theirs.close()


@clock_test
async def test_a_transfer_that_moves_is_never_cut_however_slow() -> None:
    """A byte just within each limit: the whole takes far longer than the limit."""
    ours, theirs = limited()

    async def drip() -> None:
        for _ in range(50):
            await trio.sleep(STALL * 0.9)
            await theirs.write(b"x")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        await moving.drain(Payload(50, ours.reading, ready=ours.payload_ready))
    assert trio.current_time() == pytest.approx(45 * STALL)
    ours.close()
    theirs.close()


@clock_test
async def test_a_reader_that_is_slow_is_never_cut() -> None:
    ours, theirs = limited()
    heard = 0

    async def sip() -> None:
        nonlocal heard
        while heard < BIG:
            await trio.sleep(STALL * 0.9)
            heard += len(await theirs.read(1 << 16))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sip)
        await ours.write(bytes(BIG))
    assert heard == BIG
    assert trio.current_time() > 10 * STALL
    ours.close()
    theirs.close()


@clock_test
async def test_silence_counts_from_what_was_said_last_by_either_side() -> None:
    """Whoever downloads in the relay of git's protocol says nothing for hours."""
    ours, theirs = limited()

    async def talk() -> None:
        for _ in range(3):
            await trio.sleep(IDLE * 0.9)
            await ours.write(b"x")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk)
        with pytest.raises(LinkStalled):
            await ours.read(10)
    assert trio.current_time() == pytest.approx(3.7 * IDLE)
    ours.close()
    theirs.close()


@clock_test
async def test_whoever_listens_hears_of_a_write_that_stalled() -> None:
    ours, theirs = limited(pipes=False)

    async def listen() -> None:
        with pytest.raises(LinkClosed):
            await ours.read(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        with pytest.raises(LinkStalled):
            await ours.write(bytes(BIG))
    ours.close()
    theirs.close()


@clock_test
async def test_without_limits_nothing_ends() -> None:
    ours, theirs = link_pair(pipes=True)
    with trio.move_on_after(10**9) as scope:
        await ours.read(10)
    assert scope.cancelled_caught
    ours.close()
    theirs.close()


@clock_test
async def test_what_comes_after_a_stall_is_too_late() -> None:
    """Half of a payload may be missing: nothing that follows can be believed."""
    ours, theirs = limited()
    with pytest.raises(LinkStalled):
        await ours.write(bytes(BIG))
    os.read(theirs.reading, BIG)
    await theirs.write(b"hello")
    with pytest.raises(LinkStalled):
        await ours.write(b"x")
    with pytest.raises(LinkStalled):
        await ours.read(10)
    ours.close()
    theirs.close()
