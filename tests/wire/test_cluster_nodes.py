"""A cluster's nodes and its client, as scripts (spec 01 §6.4, §8, §15).

The first script is what the client says and hears; each further one is a connection to a
node, by its name: there ``>>`` is what the gateway must say. ``{K}`` is a key of twenty
bytes, ``{DATA}``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest
import trio

from annexshell.cluster.context import wants_all
from annexshell.cluster.node import Node
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.protocol.conversation import Role
from annexshell.remotes.peer import PeerStore
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.cluster_world import (
    FAR,
    N1,
    N2,
    NODES,
    STRANGER,
    C,
    ClusterMemory,
    cluster_store,
    memory_of,
)
from tests.support.memory_store import key_of
from tests.support.script import play, steps_of
from tests.wire.test_nodes import Nodes, allow

DATA = b"twenty bytes of data"
K = key_of(DATA)
WORDS = {
    "K": K.text,
    "DATA": DATA,
    "HEAD": DATA[:7],
    "TAIL": DATA[7:],
    "C": C,
    "N1": N1,
    "N2": N2,
    "FAR": FAR,
    "STRANGER": STRANGER,
}
CLIENT = "<< AUTH-SUCCESS {C}\n>> VERSION 4\n<< VERSION 4\n"
UPLOAD = ">> DATA 20\n>| {DATA}\n>> VALID\n"
Scripts = str | Sequence[str]
NO_NODES = (
    b"cluster has no available nodes (mycluster): see whether its nodes are in cluster.log"
    b" and in the git config of the gateway, with git annex updatecluster"
)
NOTHING_REMOVED = b"FAILURE"
NONE_TOOK = b"no node of cluster mycluster took the content: n1 failed: disk on fire"
LOCKED = (
    b"no node of cluster mycluster removed the content: n1 failed: content is locked"
)


def hello(node: str, version: str = "VERSION 4") -> str:
    return f"<< AUTH-SUCCESS {{{node}}}\n>> VERSION 4\n<< {version}\n"


H1, H2 = hello("N1"), hello("N2")


def takes(node: str, *, offset: int = 0, answer: str = "SUCCESS") -> str:
    """A node that is sent what it asks for."""
    data = "{DATA}" if not offset else "{TAIL}"
    return hello(node) + f"""
        >> PUT f {{K}}
        << PUT-FROM {offset}
        >> DATA {20 - offset}
        >| {data}
        >> VALID
        << {answer}
        """


def says(node: str, *lines: str) -> str:
    """A node that is asked the first of ``lines`` and answers the second, and so on."""
    marks = (">>", "<<")
    return hello(node) + "".join(f"{marks[n % 2]} {x}\n" for n, x in enumerate(lines))


@attrs.define
class Gateway:
    """What the gateway knows beforehand, and what it does with its nodes."""

    holders: frozenset[UUID] = frozenset()
    wants: Callable[[Node, Key, bytes], bool] = wants_all
    clock: Callable[[], float] = lambda: 3191.0
    count: int = 2

    def serve(self, client: str, *scripts: Scripts, **more: bytes) -> ClusterMemory:
        """Play the client's script; the location log as it is then."""
        log = memory_of(*NODES[: self.count])
        log.places |= {(K, uuid) for uuid in self.holders}
        words = {**WORDS, **more}
        nodes = [[s] if isinstance(s, str) else list(s) for s in scripts]

        async def served(link: Link) -> None:
            with tempfile.TemporaryDirectory() as top:
                await self._session(link, Path(top), log, nodes, words)

        play(served, client, **words)
        return log

    async def _session(
        self,
        link: Link,
        top: Path,
        log: ClusterMemory,
        scripts: list[list[str]],
        words: dict[str, bytes],
    ) -> None:
        async with trio.open_nursery() as nursery:
            peers = []
            for number, (uuid, script) in enumerate(zip(NODES, scripts)):
                steps = [steps_of(connection, words) for connection in script]
                connect = Nodes(nursery, steps).connect
                peers.append(PeerStore(f"n{number + 1}", uuid, connect))
                await peers[-1].offer(4)
            nodes = [
                Node(peer.name, peer.uuid, peer, cost)
                for cost, peer in enumerate(peers)
            ]
            store = cluster_store(
                lambda: nodes, log, top, wants=self.wants, clock=self.clock
            )
            await converse(Session(Channel(link, Role.SERVER), store, allow), C)
            for peer in peers:
                await peer.aclose()


def clustered(client: str, *nodes: Scripts, **more: bytes) -> ClusterMemory:
    """Play the scripts, with a location log that is empty at first."""
    return Gateway().serve(client, *nodes, **more)


HELD = Gateway(frozenset({N1, N2}))
"""A gateway whose log says that both nodes have the key; the first is cheaper to ask."""


# -- the transcript of spec 01 §6.4, and versions ------------------------------------------


def test_nobody_is_asked_for_what_nobody_has() -> None:
    clustered(CLIENT + """
        >> CHECKPRESENT {K}
        << FAILURE
        >> GET 0  {K}
        << DATA 0
        << INVALID
        >> FAILURE
        >> LOCKCONTENT {K}
        << FAILURE
        >> GETTIMESTAMP
        << TIMESTAMP 3191
        """)


def test_content_is_stored_on_all_nodes_and_fetched_and_removed() -> None:
    both = """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 20
        >| {DATA}
        >> VALID
        << SUCCESS
        >> PUT f {K}
        << ALREADY-HAVE
        >> REMOVE {K}
        << SUCCESS
        >> REMOVE {K}
        << SUCCESS
        """
    log = clustered(
        CLIENT
        + """
        >> PUT f {K}
        << PUT-FROM 0
        """
        + UPLOAD
        + """
        << SUCCESS-PLUS {N1} {N2}
        >> PUT f {K}
        << ALREADY-HAVE-PLUS {N1} {N2}
        >> REMOVE {K}
        << SUCCESS-PLUS {N1} {N2}
        >> REMOVE {K}
        << SUCCESS-PLUS {N1} {N2}
        >> LOCKCONTENT {K}
        << FAILURE
        """,
        H1 + both,
        H2 + both,
    )
    assert log.records[:2] == [(K, N1, True), (K, N2, True)]
    assert not log.places


def test_content_is_read_from_the_middle_and_from_beyond_its_end() -> None:
    Gateway(frozenset({N1})).serve(
        CLIENT + """
        >> GET 7 f {K}
        << DATA 13
        <| {TAIL}
        << VALID
        >> SUCCESS
        >> GET 20 f {K}
        << DATA 0
        << VALID
        >> SUCCESS
        """,
        H1 + """
        >> GET 7 f {K}
        << DATA 13
        << {TAIL}VALID
        >> SUCCESS
        >> GET 20 f {K}
        << DATA 0
        << VALID
        >> SUCCESS
        """,
    )


@pytest.mark.parametrize("version", [0, 1])
def test_an_old_client_gets_no_plus_reply_and_the_nodes_are_spoken_to_as_ever(
    version: int,
) -> None:
    asked = "" if version == 0 else f">> VERSION {version}\n<< VERSION {version}\n"
    verdict = "" if version == 0 else ">> VALID\n"
    # What nobody vouched for is checked by the nodes themselves.
    passed_on = "INVALID" if version == 0 else "VALID"
    node = f"""
        >> PUT f {{K}}
        << PUT-FROM 0
        >> DATA 20
        >| {{DATA}}
        >> {passed_on}
        << SUCCESS-PLUS
        >> PUT f {{K}}
        << ALREADY-HAVE-PLUS
        >> REMOVE {{K}}
        << SUCCESS-PLUS
        """
    log = clustered(
        "<< AUTH-SUCCESS {C}\n"
        + asked
        + """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 20
        >| {DATA}
        """
        + verdict
        + """
        << SUCCESS
        >> PUT f {K}
        << ALREADY-HAVE
        >> REMOVE {K}
        << SUCCESS
        """,
        H1 + node,
        H2 + node,
    )
    assert [present for _, _, present in log.records[:2]] == [True, True]
    assert not log.places


def test_an_old_client_hears_of_a_partial_removal_as_failure() -> None:
    """Vector 31."""
    log = HELD.serve(
        "<< AUTH-SUCCESS {C}\n>> VERSION 1\n<< VERSION 1\n>> REMOVE {K}\n<< FAILURE",
        says("N1", "REMOVE {K}", "FAILURE"),
        says("N2", "REMOVE {K}", "SUCCESS"),
    )
    assert log.holders(K) == {N1}


# -- uploads -------------------------------------------------------------------------------


def test_each_node_gets_the_bytes_that_it_has_not() -> None:
    """Vector 29."""
    log = clustered(
        CLIENT
        + """
        >> PUT f {K}
        << PUT-FROM 0
        """
        + UPLOAD
        + """
        << SUCCESS-PLUS {N1} {N2}
        """,
        takes("N1", offset=7),
        takes("N2"),
    )
    assert log.holders(K) == {N1, N2}


def test_the_client_goes_on_where_the_node_with_least_is() -> None:
    log = clustered(
        CLIENT + """
        >> PUT f {K}
        << PUT-FROM 7
        >> DATA 13
        >| {TAIL}
        >> VALID
        << SUCCESS-PLUS {N1} {N2}
        """,
        takes("N1", offset=7),
        hello("N2") + """
        >> PUT f {K}
        << PUT-FROM 20
        >> DATA 0
        >> VALID
        << SUCCESS
        """,
    )
    assert log.holders(K) == {N1, N2}


def test_an_offset_beyond_the_end_gets_no_bytes() -> None:
    clustered(
        CLIENT + ">> PUT f {K}\n<< PUT-FROM 0\n" + UPLOAD + "<< SUCCESS-PLUS {N2}",
        hello("N1") + """
        >> PUT f {K}
        << PUT-FROM 700
        >> DATA 0
        >> VALID
        << FAILURE
        """,
        takes("N2"),
    )


def test_a_version_0_node_gets_no_verdict() -> None:
    """Vector 32."""
    log = clustered(
        CLIENT
        + """
        >> PUT f {K}
        << PUT-FROM 0
        """
        + UPLOAD
        + """
        << SUCCESS-PLUS {N1} {N2}
        """,
        hello("N1", "ERROR unknown command") + """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 20
        >| {DATA}
        << SUCCESS
        """,
        takes("N2"),
    )
    assert log.holders(K) == {N1, N2}


def test_a_version_0_node_never_gets_the_last_byte_of_invalid_content() -> None:
    log = clustered(
        CLIENT + """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 20
        >| {DATA}
        >> INVALID
        << SUCCESS-PLUS {N2}
        """,
        hello("N1", "ERROR unknown command") + """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 20
        >> EOF
        """,
        hello("N2") + """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 20
        >| {DATA}
        >> INVALID
        << SUCCESS
        """,
    )
    assert log.holders(K) == {N2}


def test_a_cluster_without_nodes_has_nothing_and_takes_nothing() -> None:
    """Vector 35: git-annex says ALREADY-HAVE, and a move deletes the only copy."""
    log = Gateway(count=0).serve(
        CLIENT + """
        >> PUT f {K}
        << ERROR {NONE}
        >> ERROR expected PUT_FROM or ALREADY_HAVE
        >> REMOVE {K}
        << {REMOVED}
        >> CHECKPRESENT {K}
        << FAILURE
        """,
        NONE=NO_NODES,
        REMOVED=NOTHING_REMOVED,
    )
    assert not log.records


@pytest.mark.parametrize(
    "broken",
    [
        [],
        ["<< EOF"],
        ["<< AUTH-SUCCESS {STRANGER}\n>> EOF"],
        ["<< AUTH-FAILURE\n>> EOF"],
        ["<< Welcome to this host!\n>> EOF"],
        ["<| {ENDLESS}\n>> EOF"],
        ["<< AUTH-SUCCESS {N1}\n>> VERSION 4\n<< VERSION 5\n>> EOF"],
        ["<< AUTH-SUCCESS {N1}\n>> VERSION 4\n<< VERSION\n>> EOF"],
        [H1 + ">> PUT f {K}\n<< EOF"],
        [H1 + ">> PUT f {K}\n<< ERROR disk on fire"],
        [H1 + ">> PUT f {K}\n<< PUT-FROM -5\n>> EOF"],
        [H1 + ">> PUT f {K}\n<< PUT-FROM 1.5\n>> EOF"],
        [H1 + ">> PUT f {K}\n<< SUCCESS\n>> EOF"],
        [H1 + ">> PUT f {K}\n<< SUCCESS-PLUS {N1} {FAR}\n>> EOF"],
        [H1 + ">> PUT f {K}\n<| {ENDLESS}\n>> EOF"],
        [H1 + ">> PUT f {K}\n<< PUT-FROM 0\n>> DATA 20\n<< EOF"],
        [takes("N1", answer="FAILURE")],
        [takes("N1", answer="ERROR no space")],
        [takes("N1", answer="FAILURE-PLUS {N1} {FAR}")],
        [takes("N1", answer="ALREADY-HAVE") + "\n>> EOF"],
        [takes("N1", answer="SUCCESS!") + "\n>> EOF"],
        [takes("N1", answer="EOF")],
    ],
)
def test_a_node_that_fails_is_left_out(broken: list[str]) -> None:
    log = clustered(
        CLIENT + ">> PUT f {K}\n<< PUT-FROM 0\n" + UPLOAD + "<< SUCCESS-PLUS {N2}",
        broken,
        takes("N2"),
        ENDLESS=b"x" * 40_000,
    )
    assert log.records == [(K, N2, True)]


def test_where_every_node_fails_the_upload_does_and_the_session_goes_on() -> None:
    log = clustered(
        CLIENT + """
        >> PUT f {K}
        << ERROR {TOLD}
        >> ERROR expected PUT_FROM or ALREADY_HAVE
        >> LOCKCONTENT {K}
        << FAILURE
        """,
        says("N1", "PUT f {K}", "ERROR disk on fire"),
        says("N2", "PUT f {K}", "ERROR disk full"),
        TOLD=NONE_TOOK,
    )
    assert not log.records


def test_where_every_node_dies_the_rest_is_read_and_the_session_goes_on() -> None:
    node = ">> PUT f {K}\n<< PUT-FROM 0\n>> DATA 20\n>| {HEAD}\n<< EOF"
    log = clustered(
        CLIENT + ">> PUT f {K}\n<< PUT-FROM 0\n>> DATA 20\n>| {HEAD}\n"
        ">| {TAIL}\n>> VALID\n<| FAILURE\n",
        H1 + node,
        H2 + node,
    )
    assert not log.records


def test_a_client_that_dies_leaves_each_node_what_it_was_sent() -> None:
    node = ">> PUT f {K}\n<< PUT-FROM 0\n>> DATA 20\n>| {HEAD}\n>> EOF"
    log = clustered(
        CLIENT + ">> PUT f {K}\n<< PUT-FROM 0\n>> DATA 20\n>| {HEAD}\n>> EOF\n<< EOF",
        H1 + node,
        H2 + node,
    )
    assert not log.records


def test_nodes_that_have_it_already_are_named_with_those_that_store_it() -> None:
    log = clustered(
        CLIENT
        + """
        >> PUT f {K}
        << PUT-FROM 0
        """
        + UPLOAD
        + """
        << SUCCESS-PLUS {N1} {FAR} {N2}
        """,
        hello("N1") + """
        >> PUT f {K}
        << ALREADY-HAVE-PLUS {FAR} {C} {N1} {FAR} made-up {N2} 00-00
        >> CHECKPRESENT {K}
        << SUCCESS
        """,
        takes("N2"),
    )
    assert log.holders(K) == {N1, N2, FAR}


def test_what_nodes_say_of_others_is_cleaned() -> None:
    log = clustered(
        CLIENT
        + """
        >> PUT f {K}
        << PUT-FROM 0
        """
        + UPLOAD
        + """
        << SUCCESS-PLUS {N1} {STRANGER} {N2} {FAR}
        """,
        takes("N1", answer="SUCCESS-PLUS {C} {N1} {STRANGER} {N1} ../../etc {N2}"),
        takes("N2", answer="SUCCESS-PLUS {STRANGER} {FAR} {FAR} {N1} {UNKNOWN}"),
        UNKNOWN=b"12345678-1234-4234-8234-123456789012",
    )
    assert log.holders(K) == {N1, N2, FAR, STRANGER}


def test_content_that_arrived_otherwise_is_asked_for_everywhere() -> None:
    node = ">> PUT f {K}\n<< PUT-FROM 0\n>> DATA-PRESENT\n<< "
    log = clustered(
        CLIENT + ">> PUT f {K}\n<< PUT-FROM 0\n>> DATA-PRESENT\n<< SUCCESS-PLUS {N2}",
        H1 + node + "FAILURE",
        H2 + node + "SUCCESS",
    )
    assert log.records == [(K, N2, True)]


def test_a_client_that_sends_nothing_leaves_the_nodes_connections_whole() -> None:
    node = """
        >> PUT f {K}
        << PUT-FROM 0
        >> ERROR the client sent nothing
        >> REMOVE {K}
        << SUCCESS
        """
    clustered(
        CLIENT + """
        >> PUT f {K}
        << PUT-FROM 0
        >> ERROR cannot read it
        >> REMOVE {K}
        << SUCCESS-PLUS {N1} {N2}
        """,
        H1 + node,
        H2 + node,
    )


def test_preferred_content_chooses_and_what_nobody_wants_goes_everywhere() -> None:
    """Vector 34."""

    def wants(node: Node, key: Key, name: bytes) -> bool:
        wanted = {N1: name.endswith(b".x"), N2: name.startswith(b"sub/")}
        return wanted[node.uuid]

    def offered(*names: str) -> str:
        lines = (
            f">> PUT {n} {{K}}\n<< PUT-FROM 0\n>> ERROR the client sent nothing\n"
            for n in names
        )
        return "".join(lines)

    client = "".join(
        f">> PUT {name} {{K}}\n<< PUT-FROM 0\n>> ERROR no\n"
        for name in ("a.x", "sub/b", "", "q")
    )
    Gateway(wants=wants).serve(
        CLIENT + client, H1 + offered("a.x", "", "q"), H2 + offered("sub/b", "", "q")
    )


def test_only_nodes_that_are_not_listed_are_offered_the_content() -> None:
    log = Gateway(frozenset({N1})).serve(
        CLIENT + ">> PUT f {K}\n<< PUT-FROM 0\n" + UPLOAD + "<< SUCCESS-PLUS {N2}",
        [],
        takes("N2"),
    )
    assert log.holders(K) == {N1, N2}


def test_a_listed_node_is_asked_where_no_other_takes_it() -> None:
    log = Gateway(frozenset({N1})).serve(
        CLIENT + ">> PUT f {K}\n<< ALREADY-HAVE-PLUS {N1}",
        says("N1", "PUT f {K}", "ALREADY-HAVE"),
        says("N2", "PUT f {K}", "ERROR disk full"),
    )
    assert log.holders(K) == {N1}


# -- presence and reading ------------------------------------------------------------------


def test_a_listed_node_that_has_it_not_is_listed_no_more() -> None:
    """Vector 33."""
    log = Gateway(frozenset({N1})).serve(
        CLIENT + ">> CHECKPRESENT {K}\n<< FAILURE\n>> CHECKPRESENT {K}\n<< FAILURE",
        says("N1", *["CHECKPRESENT {K}", "FAILURE"] * 2),
    )
    assert log.records == [(K, N1, False)]


def test_presence_is_found_at_whichever_node_can_be_asked() -> None:
    HELD.serve(
        CLIENT + ">> CHECKPRESENT {K}\n<< SUCCESS",
        [],
        says("N2", "CHECKPRESENT {K}", "SUCCESS"),
    )


@pytest.mark.parametrize(
    "answer", ["ERROR disk on fire", "SUCCESS x", "VALID", "SUCCESS-PLUS {N1}", "EOF"]
)
def test_absence_is_not_guessed(answer: str) -> None:
    """One node says that it has it not, and the other no such thing."""
    log = Gateway(frozenset({N1, N2})).serve(
        CLIENT + ">> CHECKPRESENT {K}\n<| ERROR",
        hello("N1") + f">> CHECKPRESENT {{K}}\n<< {answer}",
        says("N2", *["CHECKPRESENT {K}", "FAILURE"] * 2),
    )
    assert (K, N1) in log.places


@pytest.mark.parametrize(
    "broken",
    [
        [],
        [H1 + ">> GET 0 f {K}\n<< ERROR disk on fire"],
        [H1 + ">> GET 0 f {K}\n<< DATA -20\n>> EOF"],
        [H1 + ">> GET 0 f {K}\n<< DATA x\n>> EOF"],
        [H1 + ">> GET 0 f {K}\n<< DATA 19\n>> EOF"],
        [H1 + ">> GET 0 f {K}\n<< DATA 21\n>> EOF"],
        [H1 + ">> GET 0 f {K}\n<< SUCCESS\n>> EOF"],
        [H1 + ">> GET 0 f {K}\n<< EOF"],
        [H1 + ">> GET 0 f {K}\n<| {ENDLESS}\n>> EOF"],
    ],
)
def test_a_node_that_cannot_deliver_is_replaced(broken: list[str]) -> None:
    HELD.serve(
        CLIENT + """
        >> GET 0 f {K}
        << DATA 20
        <| {DATA}
        << VALID
        >> SUCCESS
        """,
        broken,
        H2 + ">> GET 0 f {K}\n<< DATA 20\n<< {DATA}VALID\n>> SUCCESS",
        ENDLESS=b"x" * 40_000,
    )


def test_a_node_that_has_it_not_is_replaced() -> None:
    HELD.serve(
        CLIENT + """
        >> GET 0 f {K}
        << DATA 20
        <| {DATA}
        << VALID
        >> SUCCESS
        """,
        H1 + ">> GET 0 f {K}\n<< DATA 0\n<< INVALID\n>> FAILURE",
        H2 + ">> GET 0 f {K}\n<< DATA 20\n<< {DATA}VALID\n>> SUCCESS",
    )


def test_a_payload_goes_on_from_another_node_and_is_not_vouched_for() -> None:
    HELD.serve(
        CLIENT + """
        >> GET 0 f {K}
        << DATA 20
        <| {DATA}
        << INVALID
        >> SUCCESS
        """,
        H1 + ">> GET 0 f {K}\n<< DATA 20\n<| {HEAD}\n<< EOF",
        H2 + ">> GET 7 f {K}\n<< DATA 13\n<< {TAIL}VALID\n>> SUCCESS",
    )


def test_missing_bytes_are_never_made_up() -> None:
    HELD.serve(
        CLIENT + ">> GET 0 f {K}\n<< DATA 20\n<| {HEAD}\n<< EOF",
        H1 + ">> GET 0 f {K}\n<< DATA 20\n<| {HEAD}\n<< EOF",
        H2 + ">> GET 7 f {K}\n<< DATA 0\n<< INVALID\n>> FAILURE",
    )


def test_a_node_whose_bytes_were_wrong_is_asked_last_from_then_on() -> None:
    HELD.serve(
        CLIENT + """
        >> GET 0 f {K}
        << DATA 20
        <| {WRONG}
        << VALID
        >> FAILURE
        >> GET 0 f {K}
        << DATA 20
        <| {DATA}
        << VALID
        >> SUCCESS
        """,
        H1 + ">> GET 0 f {K}\n<< DATA 20\n<< {WRONG}VALID\n>> FAILURE",
        H2 + ">> GET 0 f {K}\n<< DATA 20\n<< {DATA}VALID\n>> SUCCESS",
        WRONG=DATA.upper(),
    )


def test_a_version_0_node_never_says_valid_and_the_client_verifies() -> None:
    Gateway(frozenset({N1})).serve(
        CLIENT + """
        >> GET 0 f {K}
        << DATA 20
        <| {DATA}
        << INVALID
        >> SUCCESS
        """,
        hello("N1", "ERROR unknown command")
        + ">> GET 0 f {K}\n<< DATA 20\n<| {DATA}\n>> SUCCESS",
    )


# -- removal -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "n1",
    [
        [],
        [says("N1", "REMOVE {K}", "FAILURE")],
        [says("N1", "REMOVE {K}", "ERROR content is locked")],
        [says("N1", "REMOVE {K}", "SUCCESS!") + ">> EOF"],
        [says("N1", "REMOVE {K}", "VALID") + ">> EOF"],
        [says("N1", "REMOVE {K}", "ALREADY-HAVE") + ">> EOF"],
        [says("N1", "REMOVE {K}", "EOF")],
    ],
)
def test_all_that_was_removed_is_named_where_the_whole_fails(n1: list[str]) -> None:
    """Vector 30."""
    log = HELD.serve(
        CLIENT + ">> REMOVE {K}\n<< FAILURE-PLUS {N2}",
        n1,
        says("N2", "REMOVE {K}", "SUCCESS"),
    )
    assert log.records == [(K, N2, False)]


def test_what_nodes_say_of_removals_elsewhere_is_cleaned() -> None:
    log = HELD.serve(
        CLIENT + ">> REMOVE {K}\n<< FAILURE-PLUS {FAR} {N2} {STRANGER}",
        says("N1", "REMOVE {K}", "FAILURE-PLUS {C} {N2} {N1} {FAR} x {FAR}"),
        says("N2", "REMOVE {K}", "SUCCESS-PLUS {STRANGER} {N1} ../.."),
    )
    assert log.holders(K) == {N1}


def test_a_listed_node_that_is_out_of_reach_makes_a_removal_fail() -> None:
    log = Gateway(frozenset({N1, FAR})).serve(
        CLIENT + ">> REMOVE {K}\n<< FAILURE-PLUS {N1} {N2}",
        says("N1", "REMOVE {K}", "SUCCESS"),
        says("N2", "REMOVE {K}", "SUCCESS"),
    )
    assert log.holders(K) == {FAR}


def test_the_first_error_is_passed_on_where_nothing_was_removed() -> None:
    log = HELD.serve(
        CLIENT + ">> REMOVE {K}\n<< ERROR {TOLD}",
        says("N1", "REMOVE {K}", "ERROR content is locked"),
        says("N2", "REMOVE {K}", "FAILURE"),
        TOLD=LOCKED,
    )
    assert not log.records


def test_each_node_is_given_the_time_limit_by_its_own_clock() -> None:
    log = HELD.serve(
        CLIENT + """
        >> GETTIMESTAMP
        << TIMESTAMP 3191
        >> REMOVE-BEFORE 3291 {K}
        << SUCCESS-PLUS {N1} {N2}
        """,
        says(
            "N1",
            "GETTIMESTAMP",
            "TIMESTAMP 1003191",
            "REMOVE-BEFORE 1003291 {K}",
            "SUCCESS",
        ),
        says(
            "N2", "GETTIMESTAMP", "TIMESTAMP 2691", "REMOVE-BEFORE 2791 {K}", "SUCCESS"
        ),
    )
    assert not log.places


def test_a_time_limit_that_is_over_removes_nothing() -> None:
    refused = ["REMOVE-BEFORE 0 {K}", "FAILURE", "CHECKPRESENT {K}", "SUCCESS"]
    log = HELD.serve(
        CLIENT + ">> REMOVE-BEFORE 3181 {K}\n<< FAILURE",
        says("N1", "GETTIMESTAMP", "TIMESTAMP 50", *refused),
        says("N2", "GETTIMESTAMP", "TIMESTAMP 5000", *refused),
    )
    assert not log.records


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("there", [True, False])
def test_an_old_node_is_never_told_to_remove_without_the_limit(
    version: int, there: bool
) -> None:
    """git-annex sends it a plain REMOVE, which may come hours too late."""
    chosen = f"VERSION {version}" if version else "ERROR unknown command"
    answer = "FAILURE-PLUS {N2}" if there else "SUCCESS-PLUS {N1} {N2}"
    log = HELD.serve(
        CLIENT + f">> REMOVE-BEFORE 3291 {{K}}\n<< {answer}",
        hello("N1", chosen) + f"""
        >> GETTIMESTAMP
        << ERROR unknown command
        >> CHECKPRESENT {{K}}
        << {'SUCCESS' if there else 'FAILURE'}
        """,
        says("N2", "GETTIMESTAMP", "TIMESTAMP 1", "REMOVE-BEFORE 101 {K}", "SUCCESS"),
    )
    assert log.holders(K) == ({N1} if there else set())


def test_a_node_that_has_no_time_is_never_given_the_clients() -> None:
    log = HELD.serve(
        CLIENT + ">> REMOVE-BEFORE 3291 {K}\n<< FAILURE-PLUS {N2}",
        says("N1", "GETTIMESTAMP", "ERROR no clock", "CHECKPRESENT {K}", "SUCCESS"),
        says("N2", "GETTIMESTAMP", "TIMESTAMP 1", "REMOVE-BEFORE 101 {K}", "SUCCESS"),
    )
    assert log.holders(K) == {N1}


def test_a_time_of_an_earlier_connection_to_a_node_is_not_used() -> None:
    """It may have rebooted, and its clock started again from zero."""
    log = HELD.serve(
        CLIENT + ">> REMOVE-BEFORE 3291 {K}\n<< FAILURE-PLUS {N2}",
        [
            H1 + ">> GETTIMESTAMP\n<< TIMESTAMP 5000\n<< EOF",
            says("N1", "CHECKPRESENT {K}", "SUCCESS"),
        ],
        says("N2", "GETTIMESTAMP", "TIMESTAMP 1", "REMOVE-BEFORE 101 {K}", "SUCCESS"),
    )
    assert log.holders(K) == {N1}


# -- clients -------------------------------------------------------------------------------


def test_a_client_that_talks_nonsense_stays_connected() -> None:
    nonsense = [b"FOO", b"", b"checkpresent K", b"PUT /abs K", b"DATA x", b"PUT K"]
    unexpected = [b"SUCCESS", b"VALID", b"DATA 5", b"SUCCESS-PLUS a b", b"PUT-FROM 0"]
    script = CLIENT
    for line in nonsense:
        script += f">> {line.decode()}\n<< ERROR unknown command\n"
    for line in unexpected:
        script += f">> {line.decode()}\n<< ERROR unexpected command\n"
    clustered(script + ">> BYPASS {FAR} nonsense\n>> LOCKCONTENT {K}\n<< FAILURE")


@pytest.mark.parametrize("word", ["CONNECT git-upload-pack", "NOTIFYCHANGE"])
def test_a_cluster_has_no_git_repository(word: str) -> None:
    clustered(
        CLIENT + f">> {word}\n<| ERROR {word.split()[0]} is not available on this"
    )


def test_a_client_that_does_not_send_what_it_put_harms_nobody() -> None:
    log = clustered(
        CLIENT + """
        >> PUT f {K}
        << PUT-FROM 0
        >> CHECKPRESENT {K}
        << ERROR expected DATA
        >> LOCKCONTENT {K}
        << FAILURE
        """,
        H1 + ">> PUT f {K}\n<< PUT-FROM 0\n>> ERROR the client sent nothing",
        H2 + ">> PUT f {K}\n<< PUT-FROM 0\n>> ERROR the client sent nothing",
    )
    assert not log.records
