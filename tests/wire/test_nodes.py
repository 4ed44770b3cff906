"""A proxy in front of nodes that are old, strange, hostile or dying (spec 01 §7.4, §7.5).

Each test is two scripts: what the client says and hears, and what the node hears and says.
In the node's script ``>>`` is what the proxy, its client, must say.
"""

from __future__ import annotations

from functools import partial

import trio
import trio.testing

from annexshell.model.ids import UUID
from annexshell.protocol.conversation import Role
from annexshell.proxy.store import ProxiedStore
from annexshell.remotes.peer import PeerStore
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.serve.proxied import Negotiation
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.locations import MemoryLocations
from tests.support.memory_store import key_of
from tests.support.pair import allow
from tests.support.script import play, steps_of
from tests.support.scripted_nodes import Nodes

X = UUID(b"11111111-1111-4111-8111-111111111111")
A = UUID(b"aaaaaaaa-1111-4111-8111-111111111111")
B = UUID(b"bbbbbbbb-1111-4111-8111-111111111111")
CONTENT = b"hello world"
K = key_of(CONTENT)
WORDS = {"K": K.text, "X": X, "A": A, "B": B}


async def _serve(
    nodes: list[str], words: dict[str, bytes], locations: MemoryLocations, link: Link
) -> None:
    async with trio.open_nursery() as nursery:
        scripts = [steps_of(script, words) for script in nodes]
        peer = PeerStore("node", X, Nodes(nursery, scripts).connect)
        store = ProxiedStore(peer, X, locations)
        channel = Channel(link, Role.SERVER)
        session = Session(channel, store, allow, Negotiation(peer).version)
        await converse(session, X)
        await peer.aclose()


def proxied(client: str, *nodes: str, **more: bytes) -> MemoryLocations:
    """Play the client's script; the gateway's location log as it is then."""
    locations = MemoryLocations(frozenset({A, B}))
    words = {**WORDS, **more}
    play(partial(_serve, list(nodes), words, locations), client, **words)
    return locations


V4 = "<< AUTH-SUCCESS {X}\n>> VERSION 4\n<< VERSION 4\n"
"""The start of either script: said by the client and the node alike."""


def test_what_is_relayed_is_canonical_and_keeps_its_bytes() -> None:
    proxied(
        V4
        + """
        >> CHECKPRESENT SHA256E-s020--abc
        << FAILURE
        >> CHECKPRESENT WORM--{odd}
        << SUCCESS
        >> GET 7 a%b%%c%20 FOO--x
        << DATA 0
        << INVALID
        >> FAILURE
        """,
        V4
        + """
        >> CHECKPRESENT SHA256E-s20--abc
        << FAILURE
        >> CHECKPRESENT WORM--{odd}
        << SUCCESS
        >> GET 7 a_b%%c_20 FOO--x
        << DATA 0
        << INVALID
        >> FAILURE
        """,
        odd=b"caf\xc3\xa9\xff",
    )


def test_plus_replies_are_relayed_and_only_believed_of_known_repositories() -> None:
    locations = proxied(
        V4
        + """
        >> REMOVE {K}
        << SUCCESS-PLUS {X} {A} {B}
        >> REMOVE {K}
        << FAILURE-PLUS {A}
        """,
        V4
        + """
        >> REMOVE {K}
        << SUCCESS-PLUS {A} {B} made-up
        >> REMOVE {K}
        << FAILURE-PLUS {A} ../../etc
        """,
    )
    assert {u for _, u, present in locations.records if not present} == {X, A, B}


def test_an_old_client_gets_no_plus_reply() -> None:
    proxied(
        """
        << AUTH-SUCCESS {X}
        >> VERSION 1
        << VERSION 1
        >> REMOVE {K}
        << SUCCESS
        """,
        "<< AUTH-SUCCESS {X}\n>> VERSION 1\n<< VERSION 1\n>> REMOVE {K}\n<< SUCCESS",
    )


def test_the_session_speaks_the_nodes_version() -> None:
    proxied(
        "<< AUTH-SUCCESS {X}\n>> VERSION 4\n<< VERSION 2",
        "<< AUTH-SUCCESS {X}\n>> VERSION 4\n<< VERSION 2",
    )


def test_an_old_client_is_served_by_its_version() -> None:
    proxied(
        """
        << AUTH-SUCCESS {X}
        >> GET 0 f {K}
        << DATA 11
        <| hello world
        >> SUCCESS
        """,
        """
        << AUTH-SUCCESS {X}
        >> GET 0 f {K}
        << DATA 11
        <| hello world
        >> SUCCESS
        """,
    )


V0_NODE = "<< AUTH-SUCCESS {X}\n>> VERSION 4\n<< ERROR unknown command\n"
V1_CLIENT = "<< AUTH-SUCCESS {X}\n>> VERSION 4\n<< VERSION 1\n"


def test_a_version_0_nodes_content_is_called_invalid_so_that_it_is_verified() -> None:
    proxied(
        V1_CLIENT
        + """
        >> GET 0 f {K}
        << DATA 11
        <| hello world
        << INVALID
        >> SUCCESS
        >> GET 11 f {K}
        << DATA 0
        << VALID
        >> SUCCESS
        """,
        V0_NODE
        + """
        >> GET 0 f {K}
        << DATA 11
        <| hello world
        >> SUCCESS
        >> GET 11 f {K}
        << DATA 0
        >> SUCCESS
        """,
    )


def test_a_version_0_node_never_gets_the_last_byte_of_invalid_content() -> None:
    locations = proxied(
        V1_CLIENT
        + """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello world
        >> VALID
        << SUCCESS
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello world
        >> INVALID
        << FAILURE
        """,
        V0_NODE
        + """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello world
        << SUCCESS
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 11
        >> EOF
        """,
    )
    assert locations.records == [(K, X, True)]


def test_a_node_that_cannot_keep_a_time_limit_is_not_asked_to_remove() -> None:
    proxied(
        """
        << AUTH-SUCCESS {X}
        >> VERSION 4
        << VERSION 2
        >> REMOVE-BEFORE 100 {K}
        << FAILURE
        """,
        "<< AUTH-SUCCESS {X}\n>> VERSION 4\n<< VERSION 2\n>> EOF",
    )


def test_a_time_of_an_earlier_connection_is_not_used() -> None:
    """The node may have rebooted: its clock would start again from zero."""
    locations = proxied(
        V4
        + """
        >> GETTIMESTAMP
        << TIMESTAMP 5000
        >> REMOVE-BEFORE 5600 {K}
        << FAILURE
        >> GETTIMESTAMP
        << TIMESTAMP 7
        >> REMOVE-BEFORE 607 {K}
        << SUCCESS
        """,
        V4 + ">> GETTIMESTAMP\n<< TIMESTAMP 5000\n<< EOF",
        V4
        + """
        >> GETTIMESTAMP
        << TIMESTAMP 7
        >> REMOVE-BEFORE 607 {K}
        << SUCCESS
        """,
    )
    assert locations.records == [(K, X, False)]


def test_a_node_that_cannot_be_reached_fails_requests_and_not_the_session() -> None:
    proxied(
        V4
        + """
        >> CHECKPRESENT {K}
        << ERROR cannot connect to node: no such host
        >> PUT f {K}
        << ERROR cannot connect to node: no such host
        >> ERROR expected PUT_FROM or ALREADY_HAVE
        >> REMOVE {K}
        << ERROR cannot connect to node: no such host
        """
    )


def test_another_repository_at_the_nodes_place_is_not_used() -> None:
    proxied(
        V4 + ">> CHECKPRESENT {K}\n" + "<< ERROR cannot connect to node: no such host",
        "<< AUTH-SUCCESS {A}\n>> EOF",
    )


def test_a_version_that_was_not_offered_is_not_believed() -> None:
    proxied(
        "<< AUTH-SUCCESS {X}\n>> VERSION 1\n<< VERSION 1",
        "<< AUTH-SUCCESS {X}\n>> VERSION 1\n<< VERSION 3\n>> EOF",
    )


def test_errors_of_the_node_are_relayed_and_the_session_goes_on() -> None:
    proxied(
        V4
        + """
        >> CHECKPRESENT {K}
        << ERROR disk on fire
        >> PUT f {K}
        << ERROR disk full
        >> ERROR expected PUT_FROM or ALREADY_HAVE
        >> GET 0 f {K}
        << ERROR unreadable
        >> REMOVE {K}
        << ERROR content is locked
        >> LOCKCONTENT {K}
        << FAILURE
        """,
        V4
        + """
        >> CHECKPRESENT {K}
        << ERROR disk on fire
        >> PUT f {K}
        << ERROR disk full
        >> GET 0 f {K}
        << ERROR unreadable
        >> REMOVE {K}
        << ERROR content is locked
        >> LOCKCONTENT {K}
        << FAILURE
        """,
    )


def test_nonsense_of_a_node_is_a_failure_and_never_a_success() -> None:
    locations = proxied(
        V4
        + """
        >> REMOVE {K}
        << ERROR node failed: unknown command
        >> CHECKPRESENT {K}
        << ERROR node failed: unexpected command
        >> PUT f {K}
        << ERROR node failed: it gave no offset
        """,
        V4 + ">> REMOVE {K}\n<< SUCCESS!\n>> EOF",
        V4 + ">> CHECKPRESENT {K}\n<< VALID\n>> EOF",
        V4 + ">> PUT f {K}\n<< PUT-FROM -5\n>> EOF",
    )
    assert locations.records == []


def test_a_node_that_dies_is_an_error_and_is_reconnected() -> None:
    locations = proxied(
        V4
        + """
        >> REMOVE {K}
        << ERROR node failed: the connection to the node ended
        >> REMOVE {K}
        << SUCCESS
        """,
        V4 + ">> REMOVE {K}\n<< EOF",
        V4 + ">> REMOVE {K}\n<< SUCCESS",
    )
    assert locations.records == [(K, X, False)]


def test_a_node_that_dies_in_the_middle_of_a_get_ends_the_connection() -> None:
    proxied(
        V4 + ">> GET 0 f {K}\n<< DATA 11\n<| hello\n<< EOF",
        V4 + ">> GET 0 f {K}\n<< DATA 11\n<| hello\n<< EOF",
    )


def test_a_node_that_dies_while_it_receives_is_a_failure_of_that_put_alone() -> None:
    big = b"x" * 3_000_000
    locations = proxied(
        V4
        + """
        >> PUT f {big_key}
        << PUT-FROM 0
        >> DATA 3000000
        >| {big}
        >> VALID
        << ERROR node failed: the connection to the node ended
        >> CHECKPRESENT {K}
        << ERROR cannot connect to node: no such host
        """,
        V4 + ">> PUT f {big_key}\n<< PUT-FROM 0\n>> DATA 3000000\n<< EOF",
        big=big,
        big_key=key_of(big).text,
    )
    assert locations.records == []


def test_a_client_that_cannot_send_after_all_tells_the_node() -> None:
    proxied(
        V4
        + """
        >> PUT f {K}
        << PUT-FROM 0
        >> ERROR cannot read it
        >> CHECKPRESENT {K}
        << FAILURE
        """,
        V4
        + """
        >> PUT f {K}
        << PUT-FROM 0
        >> ERROR the client sent nothing
        >> CHECKPRESENT {K}
        << FAILURE
        """,
    )


def test_a_lock_of_a_dead_client_keeps_its_link_to_the_node() -> None:
    """git-annex drops lock and retention as soon as the link closes (spec 01 §5.4)."""
    node = V4 + ">> LOCKCONTENT {K}\n<< SUCCESS\n>> EOF"

    async def serve(link: Link) -> None:
        async with trio.open_nursery() as nursery:
            nodes = Nodes(nursery, [steps_of(node, WORDS)])
            peer = PeerStore("node", X, nodes.connect)
            store = ProxiedStore(peer, X, MemoryLocations())
            negotiate = Negotiation(peer).version
            session = Session(Channel(link, Role.SERVER), store, allow, negotiate)
            await converse(session, X)
            assert peer.holds_abandoned_locks
            await trio.testing.wait_all_tasks_blocked()
            assert nursery.child_tasks, "the node must not have heard of the end"
            nursery.cancel_scope.cancel()

    play(serve, V4 + ">> LOCKCONTENT {K}\n<< SUCCESS\n>> EOF", **WORDS)


def test_locks_that_are_not_given_back_keep_only_a_few_links() -> None:
    """Each is a process here and at the node, and any client may lock."""
    lock = V4 + ">> LOCKCONTENT {K}\n<< SUCCESS\n>> EOF"
    told = "too many locks were not given back with UNLOCKCONTENT"

    async def serve(link: Link) -> None:
        async with trio.open_nursery() as nursery:
            nodes = Nodes(nursery, [steps_of(lock, WORDS) for _ in range(9)])
            peer = PeerStore("node", X, nodes.connect)
            store = ProxiedStore(peer, X, MemoryLocations())
            negotiate = Negotiation(peer).version
            session = Session(Channel(link, Role.SERVER), store, allow, negotiate)
            await converse(session, X)
            assert len(nodes.scripts) == 9 - 4
            nursery.cancel_scope.cancel()

    again = ">> LOCKCONTENT {K}\n<< SUCCESS\n>> x\n<< ERROR expected UNLOCKCONTENT\n"
    refused = f">> LOCKCONTENT {{K}}\n<< ERROR node failed: {told}\n"
    greeting = "<< AUTH-SUCCESS {X}\n>> VERSION 4\n<< VERSION 4\n"
    play(serve, greeting + again * 4 + refused * 2 + ">> EOF", **WORDS)


def test_a_second_answer_is_not_taken_for_that_to_the_next_request() -> None:
    """A node out of step must not make content present that it never spoke of."""
    proxied(
        V4
        + """
        >> CHECKPRESENT {K}
        << FAILURE
        >> CHECKPRESENT {K}
        << FAILURE
        >> REMOVE {K}
        << FAILURE
        """,
        V4 + ">> CHECKPRESENT {K}\n<| {two}\n>> EOF\n",
        V4
        + """
        >> CHECKPRESENT {K}
        << FAILURE
        >> REMOVE {K}
        << FAILURE
        >> EOF
        """,
        two=b"FAILURE\nSUCCESS\n",
    )
