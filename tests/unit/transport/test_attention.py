"""A peer that leaves while somebody else is waited for."""

from __future__ import annotations

import os

import pytest
import trio

from annexshell.errors import LinkClosed, TransferInProgress
from annexshell.transport.attention import attended
from annexshell.transport.link import Link
from tests.support.async_tests import clock_test
from tests.support.pair import link_pair


@pytest.mark.thorough
@pytest.mark.parametrize("pipes", [True, False])
@pytest.mark.parametrize("said", [b"", b"not its turn\n"])
@clock_test
async def test_the_end_of_the_peer_ends_the_wait(pipes: bool, said: bytes) -> None:
    ours, theirs = link_pair(pipes=pipes)
    left = []

    async def leave() -> None:
        await theirs.write(said)
        await trio.sleep(1000)
        theirs.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        with pytest.raises(LinkClosed):
            async with attended(ours):
                try:
                    await trio.sleep_forever()
                finally:
                    left.append(trio.current_time())
    assert left == [pytest.approx(1000, abs=1)]
    ours.close()


@clock_test
async def test_once_it_is_the_peers_turn_it_may_speak_and_leave() -> None:
    ours, theirs = link_pair(pipes=True)
    async with attended(ours) as ready:
        await trio.sleep(100)
        ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(theirs.write, b"hello")
            assert await ours.read(5) == b"hello"
        theirs.close()
        assert await ours.read(5) == b""
        await trio.sleep(100)
    ours.close()


@clock_test
async def test_failures_come_out_as_they_are() -> None:
    ours, theirs = link_pair(pipes=True)
    with pytest.raises(TransferInProgress):
        async with attended(ours):
            await trio.sleep(100)
            raise TransferInProgress(key=b"k")
    with trio.move_on_after(5) as scope:
        async with attended(ours):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    ours.close()
    theirs.close()


@clock_test
async def test_a_file_never_leaves() -> None:
    read, write = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    link = Link(read, write, "a script")
    async with attended(link):
        await trio.sleep(100)
    assert trio.current_time() == 100
    link.close()


@clock_test
async def test_who_has_said_all_may_still_listen() -> None:
    ours, theirs = link_pair(pipes=True)
    theirs.close_writing()
    async with attended(ours, Link.unheard):
        await trio.sleep(100)
    ours.close()
    theirs.close()


@pytest.mark.parametrize("pipes", [True, False])
@clock_test
async def test_who_does_not_listen_any_more_is_noticed(pipes: bool) -> None:
    ours, theirs = link_pair(pipes=pipes)
    with pytest.raises(LinkClosed):
        async with attended(ours, Link.unheard):
            theirs.close()
            await trio.sleep(100)
    assert trio.current_time() < 1
    ours.close()
