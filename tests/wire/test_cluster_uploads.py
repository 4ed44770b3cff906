"""PUT to a cluster whose nodes are old, strange, hostile or dying (spec 01 §8.4, §15)."""

from __future__ import annotations

import pytest

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from tests.support.cluster_script import (
    CLIENT,
    H1,
    H2,
    NO_NODES,
    NONE_TOOK,
    NOTHING_REMOVED,
    UPLOAD,
    Gateway,
    K,
    clustered,
    hello,
    says,
    takes,
)
from tests.support.cluster_world import FAR, N1, N2, STRANGER
from tests.support.placers import MemoryPlacer, only


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
        CLIENT
        + """
        >> PUT f {K}
        << PUT-FROM 7
        >> DATA 13
        >| {TAIL}
        >> VALID
        << SUCCESS-PLUS {N1} {N2}
        """,
        takes("N1", offset=7),
        hello("N2")
        + """
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
        hello("N1")
        + """
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
        hello("N1", "ERROR unknown command")
        + """
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
        CLIENT
        + """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 20
        >| {DATA}
        >> INVALID
        << SUCCESS-PLUS {N2}
        """,
        hello("N1", "ERROR unknown command")
        + """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 20
        >> EOF
        """,
        hello("N2")
        + """
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
        CLIENT
        + """
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
        CLIENT
        + """
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
        hello("N1")
        + """
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
        CLIENT
        + """
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

    def wants(uuid: UUID, key: Key, name: bytes) -> bool:
        wanted = {N1: name.endswith(b".x"), N2: name.startswith(b"sub/")}
        return wanted[uuid]

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
    Gateway(placer=MemoryPlacer(wants)).serve(
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


def test_a_listed_node_that_has_it_is_enough_where_no_other_wants_it() -> None:
    """Spec 04 §11.3: git-annex copies it to all others then."""
    log = Gateway(frozenset({N1}), MemoryPlacer(only(N1))).serve(
        CLIENT + ">> PUT f {K}\n<< ALREADY-HAVE-PLUS {N1}",
        says("N1", "PUT f {K}", "ALREADY-HAVE"),
        [],
    )
    assert log.holders(K) == {N1}


def test_the_log_alone_does_not_make_content_be_there() -> None:
    log = Gateway(frozenset({N1}), MemoryPlacer(only())).serve(
        CLIENT + ">> PUT f {K}\n<< PUT-FROM 0\n" + UPLOAD + "<< SUCCESS-PLUS {N2}",
        says("N1", "PUT f {K}", "ERROR disk is gone"),
        takes("N2"),
    )
    assert log.holders(K) == {N1, N2}


def test_one_that_cannot_take_what_it_wants_is_done_without() -> None:
    log = Gateway(placer=MemoryPlacer(only(N1))).serve(
        CLIENT + ">> PUT f {K}\n<< PUT-FROM 0\n" + UPLOAD + "<< SUCCESS-PLUS {N2}",
        says("N1", "PUT f {K}", "ERROR disk full"),
        takes("N2"),
    )
    assert log.holders(K) == {N2}
