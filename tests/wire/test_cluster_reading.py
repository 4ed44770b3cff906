"""CHECKPRESENT and GET of a cluster whose nodes fail (spec 01 §8.3, §8.7)."""

from __future__ import annotations

import pytest

from tests.support.cluster_script import (
    CLIENT,
    DATA,
    H1,
    H2,
    HELD,
    Gateway,
    K,
    hello,
    says,
)
from tests.support.cluster_world import N1, N2


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
        CLIENT
        + """
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
        CLIENT
        + """
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
        CLIENT
        + """
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
        CLIENT
        + """
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
        CLIENT
        + """
        >> GET 0 f {K}
        << DATA 20
        <| {DATA}
        << INVALID
        >> SUCCESS
        """,
        hello("N1", "ERROR unknown command")
        + ">> GET 0 f {K}\n<< DATA 20\n<| {DATA}\n>> SUCCESS",
    )
