"""What a Channel reads without leaving the waiting to trio."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from annexshell.errors import LinkClosed
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import Role
from annexshell.transport import channel as module
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.async_tests import trio_test
from tests.support.pair import NODE, link_pair

_ASK = b"GETTIMESTAMP\n"


def served(link: Link, linger: int) -> Channel:
    channel = Channel(link, Role.SERVER)
    channel.linger = linger
    channel.say(m.AuthSuccess(NODE))
    return channel


async def answered(channel: Channel) -> None:
    assert await channel.receive() == m.GetTimestamp()
    channel.say(m.Timestamp(1))


class Waits:
    """Counts the waits that are left to trio."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._wait: Callable[[int], Awaitable[None]] = trio.lowlevel.wait_readable
        monkeypatch.setattr(trio.lowlevel, "wait_readable", self)

    async def __call__(self, fd: int) -> None:
        self.count += 1
        await self._wait(fd)


@pytest.mark.parametrize("pipes", [True, False])
@trio_test
async def test_what_is_said_soon_needs_no_turn_of_the_loop(
    pipes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = link_pair(pipes=pipes)
    channel, waits = served(ours, 2), Waits(monkeypatch)
    for _ in range(5):
        await theirs.write(_ASK)
        assert not await channel.silent(100)
        await answered(channel)
    assert waits.count == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answered, channel)
        await trio.testing.wait_all_tasks_blocked()
        # It did not come soon: others have their turn, and the wait is trio's.
        assert waits.count == 1
        await theirs.write(_ASK)
    ours.close()
    theirs.close()


@trio_test
async def test_who_never_pauses_leaves_others_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_TURN", 4)
    ours, theirs = link_pair(pipes=True)
    channel = served(ours, 2)
    os.write(theirs.writing, _ASK * 20)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(20):
            await answered(channel)
        assert turns >= 4
        nursery.cancel_scope.cancel()
    ours.close()
    theirs.close()


@trio_test
async def test_the_end_is_noticed_either_way() -> None:
    for linger in (0, 2):
        ours, theirs = link_pair(pipes=True)
        channel = served(ours, linger)
        theirs.close()
        with pytest.raises(LinkClosed):
            await channel.listen()
        ours.close()
