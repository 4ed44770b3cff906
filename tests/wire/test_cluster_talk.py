"""A cluster and its client, from the transcript of the protocol (spec 01 §6.4), at each version."""

from __future__ import annotations

import pytest

from tests.support.cluster_script import (
    CLIENT,
    H1,
    H2,
    HELD,
    UPLOAD,
    Gateway,
    K,
    clustered,
    says,
)
from tests.support.cluster_world import N1, N2


def test_nobody_is_asked_for_what_nobody_has() -> None:
    clustered(
        CLIENT
        + """
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
        """
    )


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
        CLIENT
        + """
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
        H1
        + """
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
