"""A client that vanishes without a word, in every state of a conversation."""

from __future__ import annotations

import logging

import pytest
import trio

from annexshell.model.ids import UUID
from annexshell.protocol.conversation import Role
from annexshell.serve import services
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.transport.channel import Channel
from annexshell.transport.child import ChildLink, open_child
from annexshell.transport.link import Link
from tests.support.async_tests import clock_test
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import allow, link_pair

U = UUID(b"11111111-1111-4111-8111-111111111111")
CONTENT = b"hello world"
KEY = key_of(CONTENT)
K = KEY.text
BIG = bytes(4 << 20)
IDLE, STALL = 1000.0, 10.0
V4 = b"VERSION 4\n"


async def vanish(store: MemoryStore, said: bytes) -> float:
    """When a session ends whose client says this and then nothing, nor reads."""
    client, server = link_pair(pipes=True)
    server.idle, server.stall = IDLE, STALL
    await client.write(said)
    session = Session(Channel(server, Role.SERVER), store, allow)
    code = await converse(session, U)
    assert code == 1
    server.close()
    client.close()
    return trio.current_time()


def full() -> MemoryStore:
    store = MemoryStore()
    store.add(CONTENT)
    return store


@pytest.mark.parametrize(
    "said, seconds",
    [
        (b"", IDLE),
        (V4, IDLE),
        (V4 + b"LOCKCONTENT " + K + b"\n", IDLE),
        (V4 + b"GET 0 f " + K + b"\n", IDLE),
        (b"VERS", STALL),
    ],
)
@clock_test
async def test_where_it_may_be_silent(
    caplog: pytest.LogCaptureFixture, said: bytes, seconds: float
) -> None:
    store = full()
    assert await vanish(store, said) == pytest.approx(seconds)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the client was silent for 10")
    assert caplog.messages[0].endswith(": ended the session")
    # What was locked stays promised.
    assert (KEY in store.retained) == (b"LOCK" in said)


@pytest.mark.parametrize(
    "said", [b"", b"DATA 11\n", b"DATA 11\nhello", b"DATA 11\nhello worl"]
)
@clock_test
async def test_while_an_upload_is_on_its_way(
    caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    store = MemoryStore()
    put = V4 + b"PUT f " + K + b"\n"
    assert await vanish(store, put + said) == pytest.approx(STALL)
    assert "the client was silent for 10s" in caplog.text
    assert store.incoming == set() and store.contents == {}
    assert store.partial.get(KEY, b"") == said.partition(b"\n")[2]


@clock_test
async def test_before_its_verdict_the_content_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    put = V4 + b"PUT f " + K + b"\nDATA 11\n" + CONTENT
    assert await vanish(store, put) == pytest.approx(STALL)
    assert "the client was silent for 10s: ended the session" in caplog.text
    assert store.incoming == set()
    assert not [r for r in caplog.records if r.levelno > logging.WARNING]


@clock_test
async def test_a_client_that_stopped_reading(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    store.add(BIG)
    get = V4 + b"GET 0 f " + key_of(BIG).text + b"\n"
    assert await vanish(store, get) == pytest.approx(STALL)
    assert caplog.messages == [
        "the client took no more bytes for 10s: ended the session"
    ]


@clock_test
async def test_a_client_that_goes_on_from_an_offset_may_hash_first() -> None:
    store = MemoryStore()
    store.add(BIG)
    get = V4 + b"GET 2000000 f " + key_of(BIG).text + b"\n"
    assert await vanish(store, get) == pytest.approx(STALL + 0.1)


async def relayed(
    monkeypatch: pytest.MonkeyPatch, program: str, said: bytes, *, read: bool
) -> tuple[int, float, int | None]:
    """A client that vanishes in CONNECT: exit code, when, and that of the service."""
    children: list[ChildLink] = []

    async def started(argv: list[str], name: str) -> ChildLink:
        children.append(await open_child(["sh", "-c", program], name))
        return children[-1]

    async def service(channel: Channel, name: bytes) -> None:
        child = await started([], "git-upload-pack")
        try:
            await services._relay(channel, child)
        finally:
            await child.aclose()

    client, server = link_pair(pipes=True)
    server.idle, server.stall = IDLE, STALL
    monkeypatch.setattr("annexshell.transport.child.GRACE", 0)
    await client.write(V4 + b"CONNECT git-upload-pack\n" + said)
    session = Session(Channel(server, Role.SERVER), MemoryStore(), allow)
    session.service = service
    when = 0.0
    async with trio.open_nursery() as nursery:
        if read:
            nursery.start_soon(_read_all, client)
        code = await converse(session, U)
        when = trio.current_time()
        nursery.cancel_scope.cancel()
    server.close()
    client.close()
    return code, when, children[0].process.returncode


async def _read_all(link: Link) -> None:
    while await link.read(1 << 16):
        continue


@pytest.mark.parametrize(
    "program, said, seconds, read",
    [
        ("exec sleep 1000", b"", IDLE, True),
        ("exec sleep 1000", b"DATA 10\nhel", STALL, True),
        ("cat /dev/zero", b"", STALL, False),
    ],
)
@clock_test
async def test_in_the_relay_of_gits_protocol(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    program: str,
    said: bytes,
    seconds: float,
    read: bool,
) -> None:
    code, when, ended = await relayed(monkeypatch, program, said, read=read)
    assert (code, ended is None) == (1, False)
    assert when >= seconds
    assert "the client " in caplog.text and ": ended the session" in caplog.text
