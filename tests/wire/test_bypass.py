"""BYPASS, as a gateway hears it and says it (spec 01 §8.2, §8.8, §9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs
import pytest
import trio

from annexshell.errors import PeerUnreachable, RequestError
from annexshell.model.ids import UUID
from annexshell.protocol.conversation import Role
from annexshell.remotes.peer import PeerStore
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import allow, link_pair
from tests.support.script import play

X = UUID(b"11111111-1111-4111-8111-111111111111")
A = UUID(b"aaaaaaaa-1111-4111-8111-111111111111")
B = UUID(b"bbbbbbbb-1111-4111-8111-111111111111")
K = key_of(b"hello world")
WORDS = {"K": K.text, "X": X, "A": A, "B": B}

GREETING = "<< AUTH-SUCCESS {X}\n"
ASK = "\n>> CHECKPRESENT {K}\n<< FAILURE\n"


# -- a client's --------------------------------------------------------------------------


def heard(script: str) -> list[tuple[UUID, ...]]:
    """What reached whoever answers for a cluster."""
    found: list[tuple[UUID, ...]] = []

    async def serve(link: Link) -> None:
        channel = Channel(link, Role.SERVER)
        session = Session(channel, MemoryStore(), allow, bypass=found.append)
        await converse(session, X)

    play(serve, GREETING + script, **WORDS)
    return found


def test_it_counts_straight_behind_the_version() -> None:
    assert heard(">> VERSION 4\n<< VERSION 4\n>> BYPASS {A} {B}" + ASK) == [(A, B)]


@pytest.mark.parametrize(
    "script",
    [
        ">> BYPASS {A}" + ASK,
        ">> VERSION 4\n<< VERSION 4" + ASK + ">> BYPASS {A}" + ASK,
        ">> VERSION 1\n<< VERSION 1\n>> BYPASS {A}" + ASK,
    ],
    ids=["without a version", "behind a request", "in an old version"],
)
def test_elsewhere_it_is_ignored(script: str) -> None:
    assert heard(script) == []


def test_only_the_first_one_is_passed_on() -> None:
    script = ">> VERSION 4\n<< VERSION 4\n>> BYPASS {A}\n>> BYPASS {B}" + ASK
    assert heard(script) == [(A,)]


# -- ours --------------------------------------------------------------------------------


@attrs.define
class Gateways:
    """What was said on each connection to another gateway, of these versions in turn."""

    nursery: trio.Nursery
    versions: list[int]
    heard: list[list[bytes]] = attrs.field(factory=list)

    async def connect(self) -> Link:
        ours, theirs = link_pair(pipes=True)
        lines: list[bytes] = []
        self.heard.append(lines)
        self.nursery.start_soon(self._answer, theirs, self.versions.pop(0), lines)
        return ours

    async def _answer(self, link: Link, version: int, lines: list[bytes]) -> None:
        await link.write(b"AUTH-SUCCESS " + X + b"\n")
        buffered = b""
        while more := await link.read(1000):
            *said, buffered = (buffered + more).split(b"\n")
            lines += said
            for line in said:
                await link.write(_answer_to(line, version))
        link.close()


def _answer_to(line: bytes, version: int) -> bytes:
    if line.startswith(b"VERSION") and not version:
        return b"ERROR unknown command\n"
    answers = {
        b"VERSION": b"VERSION %d\n" % version,
        b"BYPASS": b"",
        b"GETTIMESTAMP": b"TIMESTAMP 5\n",
        b"REMOVE-BEFORE": b"SUCCESS\n",
        b"REMOVE": b"SUCCESS\n",
    }
    return answers.get(line.split()[0], b"FAILURE\n")


def asked(
    use: Callable[[PeerStore, list[UUID]], Awaitable[None]],
    *versions: int,
    bypassed: Sequence[UUID] = (),
    least: int = 0,
    newest: int = 4,
) -> list[list[bytes]]:
    """What each connection said while ``use`` used the peer, and changed the list."""
    uuids = list(bypassed)

    async def run() -> list[list[bytes]]:
        async with trio.open_nursery() as nursery:
            gateways = Gateways(nursery, list(versions))
            peer = PeerStore(
                "B-mine", X, gateways.connect, bypass=lambda: tuple(uuids), least=least
            )
            peer.newest = newest
            await use(peer, uuids)
            await peer.aclose()
            nursery.cancel_scope.cancel()
        return gateways.heard

    return trio.run(run)


async def ask(peer: PeerStore, uuids: list[UUID]) -> None:
    assert not await peer.present(K)


async def ask_twice(peer: PeerStore, uuids: list[UUID]) -> None:
    await ask(peer, uuids)
    await ask(peer, uuids)


CHECK = b"CHECKPRESENT " + K.text


def test_it_is_said_sorted_and_before_the_first_request() -> None:
    assert asked(ask_twice, 4, bypassed=(B, A)) == [
        [b"VERSION 4", b"BYPASS %b %b" % (A, B), CHECK, CHECK]
    ]


@pytest.mark.parametrize("version, said", [(2, True), (1, False), (0, False)])
def test_it_is_said_to_those_who_know_it(version: int, said: bool) -> None:
    [lines] = asked(ask, version, bypassed=(A,))
    assert (b"BYPASS " + A in lines) is said


def test_nobody_to_bypass() -> None:
    assert asked(ask, 4) == [[b"VERSION 4", CHECK]]


def test_a_list_that_changed_is_said_on_a_new_connection() -> None:
    async def use(peer: PeerStore, uuids: list[UUID]) -> None:
        await ask(peer, uuids)
        uuids.append(B)
        await ask_twice(peer, uuids)
        uuids.reverse()
        await ask(peer, uuids)

    first, second = asked(use, 4, 4, bypassed=(A,))
    assert first == [b"VERSION 4", b"BYPASS " + A, CHECK]
    assert second == [b"VERSION 4", b"BYPASS %b %b" % (A, B), CHECK, CHECK, CHECK]


def test_a_removal_with_a_time_limit_stays_on_its_connection() -> None:
    """The limit is in the time that this connection told."""

    async def use(peer: PeerStore, uuids: list[UUID]) -> None:
        before = await peer.timestamp()
        uuids.append(B)
        assert (await peer.remove(K, before)).ok
        assert (await peer.remove(K)).ok

    first, second = asked(use, 4, 4)
    assert first[1:] == [b"GETTIMESTAMP", b"REMOVE-BEFORE 5 " + K.text]
    assert second == [b"VERSION 4", b"BYPASS " + B, b"REMOVE " + K.text]


@pytest.mark.parametrize("version", [0, 1])
def test_a_gateway_that_is_too_old_is_not_used(version: int) -> None:
    """Without BYPASS two gateways would call each other without end."""

    async def use(peer: PeerStore, uuids: list[UUID]) -> None:
        with pytest.raises(
            PeerUnreachable, match=f"B-mine: .* version {version} .*old"
        ):
            await peer.present(K)

    [lines] = asked(use, version, bypassed=(A,), least=2)
    assert lines == [b"VERSION 4"]


def test_nor_is_one_that_was_offered_too_little() -> None:
    async def use(peer: PeerStore, uuids: list[UUID]) -> None:
        with pytest.raises(RequestError, match="version 0"):
            await peer.present(K)

    assert asked(use, 4, least=2, newest=0) == [[]]
