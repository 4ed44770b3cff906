"""What a connection does between requests."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from annexshell.model.ids import UUID
from annexshell.protocol.conversation import Role
from annexshell.serve import connection
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.async_tests import first_of
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import allow, link_pair

U = UUID(b"11111111-1111-4111-8111-111111111111")
K = key_of(b"hello").text


class Talk:
    """A client whose clock stands still, but when both sides wait."""

    def __init__(self) -> None:
        self.rested: list[float] = []
        self.store = MemoryStore()
        self.store.add(b"hello")

    async def rest(self) -> None:
        self.rested.append(trio.current_time())

    async def play(self, *said: bytes, pause: float) -> None:
        server, client = link_pair(pipes=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve, server)
            for line in said:
                await client.write(line + b"\n")
                await trio.sleep(pause)
            client.close()

    async def _serve(self, link: Link) -> None:
        channel = Channel(link, Role.SERVER)
        await converse(Session(channel, self.store, allow, rest=self.rest), U)
        link.close()


def play(*said: bytes, pause: float) -> int:
    """How often the session rested."""
    talk = Talk()
    clock = trio.testing.MockClock(autojump_threshold=0)

    async def run() -> None:
        await talk.play(*said, pause=pause)

    try:
        trio.run(run, clock=clock)
    except BaseExceptionGroup as group:
        raise first_of(group) from None
    return len(talk.rested)


LONG = connection.REST * 3
SHORT = connection.REST / 3


def test_what_was_changed_is_settled_while_the_client_is_silent() -> None:
    assert play(b"REMOVE " + K, pause=LONG) == 1


def test_one_silence_settles_once() -> None:
    assert play(b"REMOVE " + K, b"GETTIMESTAMP", b"GETTIMESTAMP", pause=LONG) == 1
    assert play(b"REMOVE " + K, b"REMOVE " + K, pause=LONG) == 2


def test_a_busy_client_is_not_held_up() -> None:
    assert play(b"REMOVE " + K, b"REMOVE " + K, b"GETTIMESTAMP", pause=SHORT) == 0


@pytest.mark.parametrize("request_", [b"GETTIMESTAMP", b"CHECKPRESENT " + K, b"WAT"])
def test_what_changes_nothing_needs_no_rest(request_: bytes) -> None:
    assert play(request_, pause=LONG) == 0
