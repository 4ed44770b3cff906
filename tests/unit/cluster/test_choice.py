"""Which nodes are asked, and in which order."""

from __future__ import annotations

from collections import Counter
from random import Random

from annexshell.cluster.choice import holders, ordered
from annexshell.cluster.node import Node
from annexshell.model.ids import UUID
from tests.support.memory_store import MemoryStore
from tests.unit.cluster.scripted import CLUSTER, uuid_of

NOW = 50.0


def node(number: int, cost: float = 100.0) -> Node:
    return Node(f"n{number}", uuid_of(number), MemoryStore(), cost)


def gateway(name: str = "other") -> Node:
    return Node(name, CLUSTER, MemoryStore(), 200.0, gateway=True)


def idle(uuid: UUID) -> int:
    return 0


def names(nodes: list[Node]) -> list[str]:
    return [node.name for node in nodes]


def test_direct_nodes_answer_for_what_they_are_listed_for() -> None:
    nodes = [node(0), node(1), node(2)]
    found = holders(nodes, {uuid_of(2), uuid_of(0), uuid_of(7)}, {uuid_of(0)})
    assert names(found) == ["n0", "n2"]


def test_a_gateway_answers_for_what_a_node_beyond_it_may_have() -> None:
    nodes = [node(0), gateway()]
    members = {uuid_of(0), uuid_of(1)}
    assert names(holders(nodes, {uuid_of(1), CLUSTER}, members)) == ["other"]
    assert names(holders(nodes, {uuid_of(0), uuid_of(1)}, members)) == ["n0", "other"]


def test_a_gateway_is_left_alone_where_only_direct_nodes_are_listed() -> None:
    nodes = [node(0), gateway()]
    members = {uuid_of(0), uuid_of(1)}
    assert names(holders(nodes, {uuid_of(0), CLUSTER}, members)) == ["n0"]
    # Of another cluster, of none, or dead.
    assert names(holders(nodes, {uuid_of(7), CLUSTER}, members)) == []


def test_the_cheapest_comes_first_however_busy() -> None:
    nodes = [node(0, 200.0), node(1, 50.5), node(2, 100.0)]
    busy = {uuid_of(1): 9}
    order = ordered(nodes, NOW, lambda uuid: busy.get(uuid, 0), Random(1))
    assert names(order) == ["n1", "n2", "n0"]


def test_of_equally_cheap_ones_the_idle_comes_first() -> None:
    nodes = [node(0), node(1), node(2)]
    busy = {uuid_of(0): 2, uuid_of(2): 1}
    for seed in range(20):
        order = ordered(nodes, NOW, lambda uuid: busy.get(uuid, 0), Random(seed))
        assert names(order) == ["n1", "n2", "n0"]


def test_chance_decides_between_equals() -> None:
    nodes = [node(0), node(1), node(2)]
    random = Random(1)
    first = Counter(ordered(nodes, NOW, idle, random)[0].name for _ in range(300))
    assert min(first[n.name] for n in nodes) > 60


def test_how_busy_a_node_is_is_asked_only_where_that_decides() -> None:
    asked: list[UUID] = []

    def busy(uuid: UUID) -> int:
        asked.append(uuid)
        return 0

    ordered([node(0), node(1, 150.0)], NOW, busy, Random(1))
    assert asked == []
    ordered([node(0), node(1), node(2, 150.0)], NOW, busy, Random(1))
    assert sorted(asked) == [uuid_of(0), uuid_of(1)]


def test_doubted_ones_come_late_and_missing_ones_last() -> None:
    missing, doubted, both, good, back = (node(n, 100.0 + n) for n in range(5))
    missing.missing_until = both.missing_until = NOW + 1
    back.missing_until = NOW
    nodes = [both, missing, doubted, good, back]
    order = ordered(nodes, NOW, idle, Random(1), {doubted, both})
    assert names(order) == ["n3", "n4", "n1", "n0", "n2"]
