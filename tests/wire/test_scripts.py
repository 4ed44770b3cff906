"""Conversations of the local server, line by line (spec 01 §4.6, §5.1, §6, §15)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from annexshell.errors import ReadOnly, StorageFailed
from annexshell.model.ids import UUID
from annexshell.protocol.conversation import Role
from annexshell.protocol.messages import Message, Put
from annexshell.proxy.store import ProxiedStore
from annexshell.serve.answers import Refuse, Session
from annexshell.serve.connection import converse
from annexshell.serve.proxied import Negotiation
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.locations import MemoryLocations
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import peer_of
from tests.support.script import play

U = UUID(b"11111111-1111-4111-8111-111111111111")
CONTENT = b"hello world"
K = key_of(CONTENT)


def allow(request: Message) -> None:
    """A server in no particular mode."""


async def _serve(store: MemoryStore, refuse: Refuse, link: Link) -> None:
    session = Session(Channel(link, Role.SERVER), store, refuse)
    await converse(session, U)


async def _serve_proxied(store: MemoryStore, refuse: Refuse, link: Link) -> None:
    async with peer_of(store, version=0) as (peer, _):
        proxied = ProxiedStore(peer, U, MemoryLocations())
        negotiate = Negotiation(peer).version
        session = Session(Channel(link, Role.SERVER), proxied, refuse, negotiate)
        await converse(session, U)


SERVERS = {"direct": _serve, "proxied": _serve_proxied}


@pytest.fixture(params=SERVERS, autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every script is played to a server of its own content, and to a proxy of one."""
    global _server
    _server = SERVERS[request.param]
    yield


_server = _serve


def run(
    script: str, store: MemoryStore, refuse: Refuse = allow, **words: bytes
) -> None:
    words = {"K": K.text, "U": U, **words}
    play(partial(_server, store, refuse), script, **words)


def holding() -> MemoryStore:
    store = MemoryStore()
    store.add(CONTENT)
    return store


def test_put_then_everything_else() -> None:
    store = MemoryStore()
    run(
        """
        << AUTH-SUCCESS {U}
        >> VERSION 4
        << VERSION 4
        >> CHECKPRESENT {K}
        << FAILURE
        >> PUT foo.txt {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello world
        >> VALID
        << SUCCESS
        >> PUT foo.txt {K}
        << ALREADY-HAVE
        >> CHECKPRESENT {K}
        << SUCCESS
        >> GET 0 foo.txt {K}
        << DATA 11
        <| hello world
        << VALID
        >> SUCCESS
        >> GET 4 foo.txt {K}
        << DATA 7
        <| o world
        << VALID
        >> SUCCESS
        >> GET 11 foo.txt {K}
        << DATA 0
        << VALID
        >> SUCCESS
        >> GETTIMESTAMP
        << TIMESTAMP 1000
        >> REMOVE-BEFORE 1000 {K}
        << FAILURE
        >> REMOVE-BEFORE 1001 {K}
        << SUCCESS
        >> REMOVE {K}
        << SUCCESS
        >> GET 0 foo.txt {K}
        << DATA 0
        << INVALID
        >> FAILURE
        >> EOF
        << EOF
        """,
        store,
    )
    assert store.contents == {}


def test_version_0_says_nothing_of_validity() -> None:
    store = MemoryStore()
    run(
        """
        << AUTH-SUCCESS {U}
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello world
        << SUCCESS
        >> GET 0 f {K}
        << DATA 11
        <| hello world
        >> SUCCESS
        """,
        store,
    )
    assert store.contents == {K: CONTENT}


@pytest.mark.parametrize("asked, answered", [(0, 0), (3, 3), (5, 4), (99, 4)])
def test_version_is_the_smaller_one(asked: int, answered: int) -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> VERSION {asked}
        << VERSION {answered}
        """,
        MemoryStore(),
        asked=b"%d" % asked,
        answered=b"%d" % answered,
    )


UNKNOWN = [
    b"FOO",
    b"",
    b"checkpresent K",
    b"CHECKPRESENT",
    b"CHECKPRESENT bad",
    b"GET 0 K",
    b"GET x  K--x",
    b"PUT K--x",
    b"PUT /abs K--x",
    b"CONNECT foo",
    b"UNLOCKCONTENT K--x",
    b"SUCCESS x",
    b"DATA x",
    b"VERSION abc",
    b"VERSION -1",
    b"PUT f SHA256E-s20--HASH." + b"a" * 64,
    b"CHECKPRESENT K--a\0b",
    b"DATA " + b"9" * 5000,
    b"A" * 32767,
]
UNEXPECTED = [
    b"SUCCESS",
    b"SUCCESS-PLUS a b",
    b"VALID",
    b"UNLOCKCONTENT",
    b"DATA-PRESENT",
    b"DATA -1",
    b"DATA 3",
    b"PUT-FROM 0",
    b"TIMESTAMP 5",
    b"CONNECTDONE 0",
    b"AUTH x y",
]


@pytest.mark.parametrize("line", UNKNOWN, ids=lambda line: repr(line[:24]))
def test_unknown_lines_are_answered_and_survived(line: bytes) -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> {line}
        << ERROR unknown command
        >> CHECKPRESENT {K}
        << SUCCESS
        """,
        holding(),
        line=line,
    )


@pytest.mark.parametrize("line", UNEXPECTED, ids=repr)
def test_unexpected_messages_are_answered_and_survived(line: bytes) -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> {line}
        << ERROR unexpected command
        >> CHECKPRESENT {K}
        << SUCCESS
        """,
        holding(),
        line=line,
    )


def test_an_overlong_line_ends_the_connection() -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> {line}
        << EOF
        """,
        holding(),
        line=b"A" * 32768,
    )


def test_a_carriage_return_before_the_line_feed_is_dropped() -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> CHECKPRESENT {K}{cr}
        << SUCCESS
        >> CHECKPRESENT {K}{space}
        << FAILURE
        """,
        holding(),
        cr=b"\r",
        space=b" ",
    )


def test_an_error_of_the_client_between_requests_ends_the_connection() -> None:
    run("<< AUTH-SUCCESS {U}\n>> ERROR had enough\n<< EOF", MemoryStore())


def test_put_something_else_than_data() -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> PUT f {K}
        << PUT-FROM 0
        >> WAT
        << ERROR expected DATA
        >> PUT f {K}
        << PUT-FROM 0
        >> ERROR cannot read it
        >> GETTIMESTAMP
        << TIMESTAMP 1000
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA -5
        << ERROR expected DATA
        >> GETTIMESTAMP
        << TIMESTAMP 1000
        """,
        MemoryStore(),
    )


def test_put_without_a_verdict_is_decided_by_the_hash() -> None:
    store = MemoryStore()
    run(
        """
        << AUTH-SUCCESS {U}
        >> VERSION 4
        << VERSION 4
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello world
        >> WAT
        << ERROR expected VALID or INVALID
        << SUCCESS
        """,
        store,
    )
    assert store.contents == {K: CONTENT}


def test_a_client_that_leaves_without_a_verdict_is_not_answered() -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> VERSION 4
        << VERSION 4
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello world
        >> EOF
        << EOF
        """,
        MemoryStore(),
    )


def test_data_present_needs_version_4() -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> VERSION 3
        << VERSION 3
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA-PRESENT
        << ERROR expected DATA
        >> VERSION 4
        << VERSION 4
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA-PRESENT
        << FAILURE
        """,
        MemoryStore(),
    )


def test_an_interrupted_put_is_resumed() -> None:
    store = MemoryStore()
    run(
        """
        << AUTH-SUCCESS {U}
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello
        >> EOF
        << EOF
        """,
        store,
    )
    assert store.contents == {}
    run(
        """
        << AUTH-SUCCESS {U}
        >> VERSION 1
        << VERSION 1
        >> PUT f {K}
        << PUT-FROM 5
        >> DATA 6
        >| {rest}
        >> VALID
        << SUCCESS
        """,
        store,
        rest=b" world",
    )
    assert store.contents == {K: CONTENT}


def test_nothing_sent_because_the_source_is_gone() -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> VERSION 4
        << VERSION 4
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 0
        >> INVALID
        << FAILURE
        >> CHECKPRESENT {K}
        << FAILURE
        """,
        MemoryStore(),
    )


def test_a_lock_is_given_back_only_by_unlockcontent() -> None:
    store = holding()
    run(
        """
        << AUTH-SUCCESS {U}
        >> LOCKCONTENT SHA256-s1--absent
        << FAILURE
        >> UNLOCKCONTENT
        << ERROR unexpected command
        >> LOCKCONTENT {K}
        << SUCCESS
        >> UNLOCKCONTENT
        >> LOCKCONTENT {K}
        << SUCCESS
        >> CHECKPRESENT {K}
        << ERROR expected UNLOCKCONTENT
        >> REMOVE {K}
        << ERROR {locked}
        >> CHECKPRESENT {K}
        << SUCCESS
        """,
        store,
        locked=b"content is locked (%s): try again later; in memory" % K.text,
    )
    assert store.retained == {K}


def test_a_lock_outlives_its_connection() -> None:
    store = holding()
    run("<< AUTH-SUCCESS {U}\n>> LOCKCONTENT {K}\n<< SUCCESS\n>> EOF\n<< EOF", store)
    assert store.retained == {K}


def test_a_wrong_acknowledgement_is_answered() -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> VERSION 1
        << VERSION 1
        >> GET 11 f {K}
        << DATA 0
        << VALID
        >> WAT
        << ERROR expected SUCCESS or FAILURE
        >> VERSION 2
        << VERSION 2
        >> GET 11 f {K}
        << DATA 0
        << VALID
        >> GETTIMESTAMP
        << ERROR expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS
        >> GET 11 f {K}
        << DATA 0
        << VALID
        >> ERROR no
        >> GETTIMESTAMP
        << TIMESTAMP 1000
        """,
        holding(),
    )


def test_offsets_that_are_none() -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> GET -1 f {K}
        << ERROR the offset -1 is not a position in a file
        >> VERSION 1
        << VERSION 1
        >> GET 99999999999999999999999999 f {K}
        << DATA 0
        << VALID
        >> SUCCESS
        """,
        holding(),
    )


def test_a_refused_put_leaves_the_connection_to_the_next_file() -> None:
    store = MemoryStore(refusal=StorageFailed(action="w", where="/x", detail="full"))
    run(
        """
        << AUTH-SUCCESS {U}
        >> PUT f {K}
        << ERROR w failed (/x): full
        >> ERROR expected PUT_FROM or ALREADY_HAVE
        >> REMOVE {K}
        << ERROR w failed (/x): full
        """,
        store,
    )


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_a_client_that_takes_error_for_absence_is_not_told_error(version: int) -> None:
    """git-annex before 10.20240701 would record the content as missing."""
    store = MemoryStore(refusal=StorageFailed(action="w", where="/x", detail="broken"))
    asks = f">> VERSION {version}\n<< VERSION {version}" if version else ""
    run(f"<< AUTH-SUCCESS {{U}}\n{asks}\n>> CHECKPRESENT {{K}}\n<< EOF", store)


def test_a_client_that_shows_errors_is_told_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What it shows of ERROR is not said again on stderr; what it does not show is."""
    store = MemoryStore(refusal=StorageFailed(action="w", where="/x", detail="broken"))
    run(
        """
        << AUTH-SUCCESS {U}
        >> VERSION 4
        << VERSION 4
        >> CHECKPRESENT {K}
        << ERROR w failed (/x): broken
        >> REMOVE {K}
        << ERROR w failed (/x): broken
        >> GET 0 f {K}
        << ERROR w failed (/x): broken
        """,
        store,
    )
    if _server is _serve:
        assert caplog.messages == ["w failed (/x): broken"]


def test_a_forbidden_request_never_reaches_the_store() -> None:
    def refuse(request: Message) -> None:
        if isinstance(request, Put):
            raise ReadOnly()

    run(
        """
        << AUTH-SUCCESS {U}
        >> PUT f {K}
        << ERROR this repository is read-only; write access denied
        >> ERROR expected PUT_FROM or ALREADY_HAVE
        >> CHECKPRESENT {K}
        << SUCCESS
        """,
        holding(),
        refuse,
    )


def test_change_notification_is_refused_politely() -> None:
    run(
        """
        << AUTH-SUCCESS {U}
        >> NOTIFYCHANGE
        << ERROR NOTIFYCHANGE is not available on this connection: use git fetch to see changes
        >> CHECKPRESENT {K}
        << SUCCESS
        """,
        holding(),
    )
