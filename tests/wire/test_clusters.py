"""A cluster towards its client and its nodes, as scripts (spec 01 §8, §15).

The first script is the client's, one more each node's; see tests/wire/test_nodes.py.
"""

from __future__ import annotations

from functools import partial
from tempfile import TemporaryDirectory

import pytest
import trio

from annexshell.model.ids import UUID
from annexshell.protocol.conversation import Role
from annexshell.remotes.peer import PeerStore
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.clusters import N1, N2, C, cluster_of
from tests.support.locations import MemoryLocations
from tests.support.memory_store import key_of
from tests.support.script import play, steps_of
from tests.wire.test_nodes import Nodes, allow

CONTENT = b"0123456789abcdefghij"
K = key_of(CONTENT)
WORDS = {"K": K.text, "C": C, "N1": N1, "N2": N2}

CLIENT = "<< AUTH-SUCCESS {C}\n>> VERSION 4\n<< VERSION 4\n"
FIRST = "<< AUTH-SUCCESS {N1}\n>> VERSION 4\n<< VERSION 4\n"
SECOND = "<< AUTH-SUCCESS {N2}\n>> VERSION 4\n<< VERSION 4\n"


async def _serve(
    scripts: tuple[str, ...],
    listed: frozenset[UUID],
    seen: list[MemoryLocations],
    link: Link,
) -> None:
    async with trio.open_nursery() as nursery:
        peers = {}
        for uuid, script in zip((N1, N2), scripts):
            steps = [steps_of(script, WORDS)]
            peer = PeerStore("node", uuid, Nodes(nursery, steps).connect)
            peer.newest = 4
            peers[uuid] = peer
        with TemporaryDirectory() as path:
            cluster = cluster_of(peers, path)
            cluster.locations.places = {(K, uuid) for uuid in listed}
            seen.append(cluster.locations)
            channel = Channel(link, Role.SERVER)
            await converse(Session(channel, cluster.session(), allow), C)
        for peer in peers.values():
            await peer.aclose()


def clustered(
    client: str, *nodes: str, listed: frozenset[UUID] = frozenset()
) -> MemoryLocations:
    """Play the client's script; the gateway's location log as it is then."""
    seen: list[MemoryLocations] = []
    play(partial(_serve, nodes, listed, seen), client, **WORDS)
    return seen[0]


def test_each_node_gets_what_it_lacks() -> None:
    locations = clustered(
        CLIENT + """
        >> PUT  {K}
        << PUT-FROM 0
        >> DATA 20
        >| 0123456789abcdefghij
        >> VALID
        << SUCCESS-PLUS {N1} {N2}
        """,
        FIRST + """
        >> PUT  {K}
        << PUT-FROM 7
        >> DATA 13
        >| 789abcdefghijVALID
        << SUCCESS
        """,
        SECOND + """
        >> PUT  {K}
        << PUT-FROM 0
        >> DATA 20
        >| 0123456789abcdefghijVALID
        << SUCCESS
        """,
    )
    assert locations.holders(K) == {N1, N2}


def test_an_offset_beyond_the_end_gets_nothing() -> None:
    clustered(
        CLIENT + """
        >> PUT  {K}
        << PUT-FROM 0
        >> DATA 20
        >| 0123456789abcdefghij
        >> VALID
        << SUCCESS-PLUS {N2}
        """,
        FIRST + """
        >> PUT  {K}
        << PUT-FROM 700
        >> DATA 0
        >> VALID
        << FAILURE
        """,
        SECOND + """
        >> PUT  {K}
        << PUT-FROM 0
        >> DATA 20
        >| 0123456789abcdefghijVALID
        << SUCCESS
        """,
    )


def test_a_node_without_verdicts_gets_none() -> None:
    clustered(
        CLIENT + """
        >> PUT  {K}
        << PUT-FROM 0
        >> DATA 20
        >| 0123456789abcdefghij
        >> VALID
        << SUCCESS-PLUS {N1} {N2}
        """,
        """
        << AUTH-SUCCESS {N1}
        >> VERSION 4
        << ERROR unknown command
        >> PUT  {K}
        << PUT-FROM 0
        >> DATA 20
        >| 0123456789abcdefghij
        << SUCCESS
        """,
        SECOND + """
        >> PUT  {K}
        << PUT-FROM 0
        >> DATA 20
        >| 0123456789abcdefghijVALID
        << SUCCESS
        """,
    )


@pytest.mark.parametrize(
    "answer", ["FAILURE", "ERROR it is locked", "no such message", "EOF"]
)
@pytest.mark.parametrize("version, reply", [(4, "FAILURE-PLUS {N2}"), (1, "FAILURE")])
def test_a_removal_that_one_node_refuses(answer: str, version: int, reply: str) -> None:
    locations = clustered(
        f"""
        << AUTH-SUCCESS {{C}}
        >> VERSION {version}
        << VERSION {version}
        >> REMOVE {{K}}
        << {reply}
        """,
        FIRST + f"\n>> REMOVE {{K}}\n<< {answer}",
        SECOND + "\n>> REMOVE {K}\n<< SUCCESS",
        listed=frozenset({N1, N2}),
    )
    assert locations.holders(K) == {N1}


def test_a_node_is_told_the_time_limit_in_its_own_time() -> None:
    """A limit that has passed is one that has passed everywhere."""
    clustered(
        CLIENT + """
        >> REMOVE-BEFORE 0 {K}
        << SUCCESS-PLUS {N1}
        """,
        FIRST + """
        >> GETTIMESTAMP
        << TIMESTAMP 1003191
        >> REMOVE-BEFORE 0 {K}
        << SUCCESS
        """,
    )


def test_a_cluster_without_nodes_answers_with_errors() -> None:
    clustered(CLIENT + """
        >> CHECKPRESENT {K}
        << FAILURE
        >> LOCKCONTENT {K}
        << FAILURE
        >> REMOVE {K}
        << FAILURE
        >> PUT  {K}
        << ERROR cluster has no available nodes (c): annexshell-admin cluster status, \
at the gateway, tells why
        """)


def test_all_have_it_already() -> None:
    have = """
        >> PUT  {K}
        << ALREADY-HAVE
        >> CHECKPRESENT {K}
        << SUCCESS
        """
    locations = clustered(
        CLIENT + ">> PUT  {K}\n<< ALREADY-HAVE-PLUS {N1} {N2}",
        FIRST + have,
        SECOND + have,
    )
    assert locations.writes == [{N1: True, N2: True}]


def test_a_client_that_cannot_send_after_all() -> None:
    """The nodes are ready for the next request."""
    again = """
        >> PUT  {K}
        << PUT-FROM 0
        >> ERROR the client sent nothing
        >> REMOVE {K}
        << SUCCESS
        """
    clustered(
        CLIENT + """
        >> PUT  {K}
        << PUT-FROM 0
        >> ERROR cannot read it
        >> REMOVE {K}
        << SUCCESS-PLUS {N1} {N2}
        """,
        FIRST + again,
        SECOND + again,
    )
