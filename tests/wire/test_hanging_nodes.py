"""A node that hangs holds a session for a bounded time only, by what it is asked."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Awaitable, Callable

import pytest
import trio

from annexshell.errors import PeerFailed, PeerUnreachable, RequestError
from annexshell.model.payload import Payload, Validity
from annexshell.protocol.conversation import Role
from annexshell.remotes.limits import NodeLimits
from annexshell.remotes.peer import PeerStore
from annexshell.remotes.peer_intake import PeerIntake
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.async_tests import clock_test
from tests.support.memory_store import key_of
from tests.support.pair import NODE, allow, link_pair

UNIT = 10.0
LIMITS = NodeLimits(UNIT)
CONTENT = bytes(4 << 20)
KEY = key_of(CONTENT)
HELLO = b"AUTH-SUCCESS " + NODE + b"\nVERSION 4\n"

Act = Callable[[PeerStore], Awaitable[object]]


async def hung(said: bytes, act: Act) -> tuple[RequestError, float]:
    """A node that says this, all at once, and then hangs: the failure, and when."""
    ends: list[Link] = []

    async def connect() -> Link:
        theirs, ours = link_pair(pipes=True)
        ours.name = "the node"
        ends.append(theirs)
        await theirs.write(said)
        return ours

    peer = PeerStore("the node", NODE, connect, timeout=UNIT)
    peer.newest = 4
    with pytest.raises(RequestError) as raised:
        await act(peer)
    assert "the node" in str(raised.value)
    when = trio.current_time()
    await peer.aclose()
    for end in ends:
        end.close()
    return raised.value, when


async def present(peer: PeerStore) -> None:
    await peer.present(KEY)


async def timestamp(peer: PeerStore) -> None:
    await peer.timestamp()


async def remove(peer: PeerStore) -> None:
    await peer.remove(KEY)


async def lock(peer: PeerStore) -> None:
    async with peer.lock(KEY):
        raise AssertionError("a node that says nothing has locked nothing")


async def get(peer: PeerStore) -> None:
    async with peer.get(KEY, 0, b""):
        raise AssertionError("a node that says nothing sends nothing")


async def put(peer: PeerStore) -> None:
    async with peer.put(KEY, b"") as intake:
        assert isinstance(intake, PeerIntake)
        with tempfile.TemporaryFile() as file:
            file.truncate(len(CONTENT))
            length, fd = len(CONTENT) - intake.offset, file.fileno()
            await intake.accept(Payload(length, fd, position=0, verdict=_valid))


async def _valid() -> Validity:
    return Validity.VALID


@pytest.mark.parametrize("said", [b"", HELLO[:20], HELLO.split(b"V")[0]])
@clock_test
async def test_before_it_greeted(said: bytes) -> None:
    error, when = await hung(said, present)
    assert isinstance(error, PeerUnreachable)
    assert f"no answer within {UNIT:g} seconds" in str(error)
    assert when == UNIT


@pytest.mark.parametrize(
    "act, seconds",
    [
        (present, LIMITS.answer),
        (timestamp, LIMITS.answer),
        (lock, LIMITS.answer),
        (remove, LIMITS.removal),
        (get, LIMITS.turn(len(CONTENT))),
        (put, LIMITS.turn(len(CONTENT))),
    ],
)
@clock_test
async def test_before_it_answered(act: Act, seconds: float) -> None:
    error, when = await hung(HELLO, act)
    assert isinstance(error, PeerFailed)
    assert when == pytest.approx(seconds)


@pytest.mark.parametrize(
    "offset, seconds",
    [(0, LIMITS.payload), (2_000_000, LIMITS.payload + 0.1)],
)
@clock_test
async def test_in_the_middle_of_what_it_is_sent(offset: int, seconds: float) -> None:
    """Time to hash what it has before it reads on is given."""
    error, when = await hung(HELLO + b"PUT-FROM %d\n" % offset, put)
    assert isinstance(error, PeerFailed)
    assert "took no more bytes" in str(error)
    assert when == pytest.approx(seconds)


@clock_test
async def test_after_all_was_sent() -> None:
    said = HELLO + b"PUT-FROM %d\n" % (len(CONTENT) - 10)
    error, when = await hung(said, put)
    assert isinstance(error, PeerFailed)
    assert when == pytest.approx(LIMITS.storing(len(CONTENT)))


@clock_test
async def test_in_the_middle_of_what_it_sends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was promised to the client cannot be delivered: its session ends, by name."""
    ends: list[Link] = []

    async def connect() -> Link:
        theirs, ours = link_pair(pipes=True)
        ours.name = "disk7"
        ends.append(theirs)
        await theirs.write(HELLO + b"DATA 100\nhalf of it")
        return ours

    client, server = link_pair(pipes=True)
    await client.write(b"VERSION 4\nGET 0 f " + KEY.text + b"\n")
    peer = PeerStore("disk7", NODE, connect, timeout=UNIT)
    peer.newest = 4
    code = await converse(Session(Channel(server, Role.SERVER), peer, allow), NODE)
    assert code == 1
    assert trio.current_time() == pytest.approx(LIMITS.payload)
    assert caplog.messages == [
        "disk7 was silent for 50s in the middle of a payload: ended the session"
    ]
    await peer.aclose()
    for link in (client, server, *ends):
        link.close()


@pytest.mark.parametrize("request_", [b"GET 0 f ", b"CHECKPRESENT "])
@clock_test
async def test_a_client_that_leaves_meanwhile_is_not_waited_for(
    request_: bytes,
) -> None:
    async def connect() -> Link:
        theirs, ours = link_pair(pipes=True)
        ends.append(theirs)
        await theirs.write(HELLO)
        return ours

    ends: list[Link] = []
    client, server = link_pair(pipes=True)
    peer = PeerStore("disk7", NODE, connect, timeout=UNIT)
    peer.newest = 4
    session = Session(Channel(server, Role.SERVER), peer, allow, distant=True)
    await client.write(b"VERSION 4\n" + request_ + KEY.text + b"\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(converse, session, NODE)
        await trio.sleep(1)
        client.close()
    assert trio.current_time() < 2
    await peer.aclose()
    for link in (server, *ends):
        link.close()


def test_limits_grow_with_what_there_is_to_do() -> None:
    terabyte = 10**12
    assert LIMITS.storing(terabyte) > 3600 * 10
    assert LIMITS.turn(terabyte) > LIMITS.turn(None) > LIMITS.removal
    assert LIMITS.connecting < LIMITS.answer < LIMITS.payload < LIMITS.removal
    never = NodeLimits(math.inf)
    assert never.answer == never.storing(5) == never.turn(5) == math.inf
