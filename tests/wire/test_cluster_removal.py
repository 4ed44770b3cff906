"""REMOVE and REMOVE-BEFORE of a cluster, by each node's own clock (spec 01 §8.6)."""

from __future__ import annotations

import pytest

from tests.support.cluster_script import (
    CLIENT,
    H1,
    HELD,
    LOCKED,
    Gateway,
    K,
    hello,
    says,
)
from tests.support.cluster_world import FAR, N1, N2


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
        CLIENT
        + """
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
        hello("N1", chosen)
        + f"""
        >> GETTIMESTAMP
        << ERROR unknown command
        >> CHECKPRESENT {{K}}
        << {"SUCCESS" if there else "FAILURE"}
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
