"""cluster.log and clusters as holders: spec 03 §4.7 and §5."""

from __future__ import annotations

import pytest

from annexshell.logs.clusters import (
    clusters,
    with_clusters,
    with_nodes,
    without_dead,
)
from annexshell.model.clock import SECOND, Clock
from annexshell.model.ids import UUID
from tests.support.repositories import C1, U1, U2, U3

C2 = UUID(b"acf788bc-41dd-8c24-b6ef-c199bfe447e6")
NOT = UUID(b"acbbdd76-2913-43e9-85c4-c7c039622a0f")
NOW = Clock(9 * SECOND)


def _line(clock: int, cluster: UUID, value: bytes) -> bytes:
    return b"%ds %b %b\n" % (clock, cluster, value)


@pytest.mark.parametrize(
    ("value", "nodes"),
    [
        (U1 + b" " + U2, {U1, U2}),
        (U1 + b" ", {U1}),
        (b"", set()),
        (b" ", {U3}),
        (U1 + b"  " + U2, {U3}),
        (b" " + U1, {U3}),
    ],
)
def test_nodes_and_lines_that_are_void(value: bytes, nodes: set[UUID]) -> None:
    text = _line(1, C1, U3) + _line(2, C1, value)
    assert clusters(text) == {C1: nodes}


def test_only_cluster_uuids_name_clusters() -> None:
    assert clusters(_line(1, NOT, U1) + _line(1, C2, U1)) == {C2: {U1}}


@pytest.mark.parametrize(
    ("holding", "dead", "expected"),
    [
        ({U1}, set(), {U1, C1}),
        (set(), set(), set()),
        ({U3}, set(), {U3}),
        ({U1}, {U1}, {U1}),
        ({U1, U2}, {U1}, {U1, U2, C1}),
    ],
)
def test_a_cluster_has_what_a_living_node_has(
    holding: set[UUID], dead: set[UUID], expected: set[UUID]
) -> None:
    living = without_dead(clusters(_line(1, C1, U1 + b" " + U2)), dead)
    assert with_clusters(frozenset(holding), living) == expected


def test_clusters_are_not_nodes_of_clusters() -> None:
    known = {C1: frozenset((U1,)), C2: frozenset((C1,))}
    assert with_clusters(frozenset((U1,)), known) == {U1, C1}


def test_a_key_can_be_in_two_clusters() -> None:
    known = {C1: frozenset((U1,)), C2: frozenset((U1,))}
    assert with_clusters(frozenset((U1,)), known) == {U1, C1, C2}


def test_new_nodes_are_sorted_and_none_leave_a_space() -> None:
    old = _line(8, C1, U3) + _line(1, C2, U1)
    new = with_nodes(old, C1, {U2, U1}, NOW)
    assert new == _line(9, C1, U1 + b" " + U2) + _line(1, C2, U1)
    assert with_nodes(new, C1, [U1, U2], NOW) is None
    assert with_nodes(new, C1, [], NOW) == b"10s " + C1 + b" \n" + _line(1, C2, U1)


def test_what_is_no_uuid_is_not_written() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        with_nodes(b"", C1, [UUID(b"a b")], NOW)
