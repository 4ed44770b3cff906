"""Who is asked to store a key, and after whom (spec 04 §11.2, §11.3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import product

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexshell.cluster.node import Node
from annexshell.cluster.plan import Group, Known, Unwanted, plan
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.config import GitConfig
from tests.support.memory_store import MemoryStore

A, B, C, D, E = (UUID(name.encode()) for name in "abcde")
CLUSTER = UUID(b"cluster")
K = Key.parse(b"WORM-s100--k")


@attrs.frozen
class Sight:
    """What is wanted, and how much is left; every question is asked once at most."""

    wanted: Collection[UUID]
    space: Mapping[UUID, int] = attrs.field(factory=dict)
    asked: list[tuple[str, UUID]] = attrs.field(factory=list)

    def wants(self, uuid: UUID) -> bool:
        self._once("wants", uuid)
        return uuid in self.wanted

    def left(self, uuid: UUID) -> int | None:
        self._once("left", uuid)
        return self.space.get(uuid)

    def _once(self, what: str, uuid: UUID) -> None:
        assert (what, uuid) not in self.asked
        self.asked.append((what, uuid))


def node(uuid: UUID, cost: float = 100.0) -> Node:
    return Node(uuid.decode(), uuid, MemoryStore(), cost)


def gateway(name: str) -> Node:
    return Node(name, CLUSTER, MemoryStore(), 200.1, gateway=True)


DIRECT = [node(A), node(B), node(C)]


def spelled(groups: list[Group]) -> str:
    """The groups by the names of their nodes: ``=`` for those that need no room, ``!`` for full ones."""
    return " ".join(
        "".join(node.name for node in group.nodes)
        + ("" if group.uuids else "=")
        + ("!" if group.full else "")
        for group in groups
    )


def planned(
    wanted: Collection[UUID],
    holders: Collection[UUID] = (),
    space: Mapping[UUID, int] | None = None,
    rooms: Mapping[str, int | None] | None = None,
) -> str:
    known = Known(DIRECT, holders, frozenset(), rooms or {})
    return spelled(plan(K, known, Sight(wanted, space or {})))


@pytest.mark.parametrize(
    "wanted, holders, groups",
    [
        # Nothing is configured.
        ([A, B, C], [], "abc"),
        ([A, B, C], [A], "bc a="),
        ([A, B, C], [A, B, C], "abc="),
        # Some want it.
        ([B], [], "b a c"),
        ([B, C], [], "bc a"),
        ([B], [A], "b a= c"),
        # It is where it is wanted.
        ([B], [B], "b= a c"),
        ([], [B], "b= a c"),
        ([], [A, B, C], "abc="),
        # Nobody wants it.
        ([], [], "abc"),
    ],
)
def test_wanting_ones_then_listed_ones_then_others(
    wanted: list[UUID], holders: list[UUID], groups: str
) -> None:
    assert planned(wanted, holders) == groups


@pytest.mark.parametrize(
    "wanted, space, groups",
    [
        ([A, B], {A: 99}, "b c a!"),
        ([A, B], {A: 100}, "ab c"),
        ([A], {A: 99}, "b c a!"),
        ([A], {A: -1, B: 200, C: 300}, "c b a!"),
        ([A, B, C], {A: 0, B: 0, C: 0}, "abc!"),
        ([], {B: 5}, "ac b!"),
        ([], {A: 5, B: 5, C: 5}, "abc!"),
    ],
)
def test_those_without_room_come_last(
    wanted: list[UUID], space: dict[UUID, int], groups: str
) -> None:
    assert planned(wanted, space=space) == groups


def test_a_full_disk_is_no_room_whatever_maxsize_allows() -> None:
    rooms = {"a": 99, "b": 100, "c": None}
    assert planned([A, B, C], rooms=rooms) == "bc a!"
    assert planned([A], space={A: 1000}, rooms=rooms) == "b c a!"
    assert planned([A], space={A: 10}, rooms={"a": 1000}) == "b c a!"


def test_what_is_wanted_where_another_gateway_asks_is_not_stored_on_all() -> None:
    for wanted, groups in (([D], "a b c"), ([], "abc"), ([B, D], "b a c")):
        known = Known(DIRECT, [], frozenset(), elsewhere=[D])
        assert spelled(plan(K, known, Sight(wanted))) == groups


def test_a_key_of_unknown_size_counts_as_nothing() -> None:
    known = Known(DIRECT, [], frozenset())
    sight = Sight([A, B], {A: 0, B: -1})
    assert spelled(plan(Key.parse(b"WORM--k"), known, sight)) == "a c b!"


def test_one_that_stores_what_nobody_wants_has_most_space_or_costs_least() -> None:
    nodes = [node(A, 300), node(B, 200), node(C, 100), node(D, 50)]
    known = Known(nodes, [], frozenset(), unwanted=Unwanted.ONE)
    assert spelled(plan(K, known, Sight([], {A: 500, B: 500, C: 400}))) == "b a c d"
    assert spelled(plan(K, known, Sight([]))) == "d c b a"
    assert spelled(plan(K, known, Sight([], {A: 1, B: 1, C: 1, D: 1}))) == "abcd!"


# -- other gateways ------------------------------------------------------------------------


def far(
    wanted: Collection[UUID], holders: Collection[UUID], space: Mapping[UUID, int] = {}
) -> str:
    known = Known([node(A), gateway("G")], holders, frozenset([A, D, E]))
    return spelled(plan(K, known, Sight(wanted, space)))


@pytest.mark.parametrize(
    "wanted, holders, groups",
    [
        ([A, D, E], [], "aG"),
        ([A], [], "a G"),
        ([D], [], "G a"),
        ([D], [D], "G= a"),
        ([D, E], [D], "G a"),
        ([A], [A], "a= G"),
        ([A, D, E], [A, D, E], "aG="),
        ([], [D], "G= a"),
    ],
)
def test_a_gateway_stands_for_what_only_it_may_reach(
    wanted: list[UUID], holders: list[UUID], groups: str
) -> None:
    assert far(wanted, holders) == groups


def test_a_gateway_has_room_where_one_behind_it_has() -> None:
    assert far([A, D, E], [], {D: 99}) == "aG"
    assert far([A, D, E], [], {D: 99, E: 99}) == "a G!"
    assert far([A, D], [], {D: 99}) == "a G"


def test_a_gateway_of_which_nothing_is_known_is_asked_last() -> None:
    known = Known([gateway("G"), node(A)], [A], frozenset([A]))
    assert spelled(plan(K, known, Sight([A]))) == "a= G="


def test_two_gateways_are_asked_together() -> None:
    known = Known([gateway("G"), gateway("H")], [], frozenset([D]))
    assert spelled(plan(K, known, Sight([D]))) == "GH"


# -- what is reserved, and who gets it -----------------------------------------------------


def test_room_is_reserved_where_it_is_wanted_and_lacking() -> None:
    known = Known([node(A), node(B), gateway("G")], [B], frozenset([A, B, D, E]))
    first, holding = plan(K, known, Sight([A, D, B]))
    assert first.uuids == {A, D} and not holding.uuids


def test_those_that_lost_what_the_log_says_get_it_back_if_they_want_it() -> None:
    [group] = plan(K, Known(DIRECT, [A, B, C], frozenset()), Sight([B]))
    a, b, c = DIRECT
    assert group.chosen([a, c], had=True) == []
    assert group.chosen([a, b], had=True) == [b]
    assert group.chosen([a, b], had=False) == [b]
    assert group.chosen([a, c], had=False) == [a, c]
    assert group.chosen([], had=False) == []


UUIDS = st.frozensets(st.sampled_from([A, B, C, D, E]))
SPACE = st.dictionaries(st.sampled_from([A, B, C, D, E]), st.integers(-200, 200))


@given(UUIDS, UUIDS, SPACE, st.sampled_from(Unwanted), st.booleans())
def test_every_node_is_in_one_group(
    wanted: frozenset[UUID],
    holders: frozenset[UUID],
    space: dict[UUID, int],
    unwanted: Unwanted,
    behind: bool,
) -> None:
    nodes = [*DIRECT, *([gateway("G")] if behind else [])]
    known = Known(nodes, holders, frozenset([A, B, C, D, E]), unwanted=unwanted)
    groups = plan(K, known, Sight(wanted, space))
    asked = [node for group in groups for node in group.nodes]
    assert len(asked) == len(nodes) and set(map(id, asked)) == set(map(id, nodes))
    assert all(group.nodes for group in groups)
    for group in groups:
        # Nobody is paid twice for what the log says it has.
        assert not group.uuids & holders


@given(UUIDS, SPACE)
def test_no_copy_is_made_beyond_those_wanted(
    wanted: frozenset[UUID], space: dict[UUID, int]
) -> None:
    """Only one is asked at a time, once those that want it have failed."""
    wanted = wanted & {A, B, C}
    groups = plan(K, Known(DIRECT, [], frozenset()), Sight(wanted, space))
    if any(space.get(uuid, 100) >= 100 for uuid in wanted):
        assert {n.uuid for n in groups[0].nodes} == {
            uuid for uuid in wanted if space.get(uuid, 100) >= 100
        }
    if wanted:
        later = [g for g in groups if not g.full and g is not groups[0]]
        assert all(len(group.nodes) == 1 for group in later)


# -- the setting ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, chosen",
    [
        (None, Unwanted.ALL),
        ("all", Unwanted.ALL),
        ("one", Unwanted.ONE),
        ("One", Unwanted.ONE),
        ("some", Unwanted.ALL),
    ],
)
def test_the_setting(
    value: str | None, chosen: Unwanted, caplog: pytest.LogCaptureFixture
) -> None:
    items = [] if value is None else [("annexshell.unwanted", value)]
    assert Unwanted.of(GitConfig(items)) is chosen
    assert bool(caplog.messages) == (value == "some")


def test_all_vectors_of_the_put_table_of_four_nodes() -> None:
    """Spec 04 §11.2, by who wants it: the fallback is everybody."""
    four = [*DIRECT, node(D)]
    for wants in product([False, True], repeat=4):
        uuids = [n.uuid for n, wanted in zip(four, wants) if wanted]
        first = plan(K, Known(four, [], frozenset()), Sight(uuids))[0]
        assert [n.uuid for n in first.nodes] == (uuids or [A, B, C, D])
