"""Making clusters, and their nodes: spec 01 §8.1, §11.1."""

from __future__ import annotations

import pytest

from annexshell.admin.changes import Setting
from annexshell.admin.clusters import (
    extend_cluster,
    init_cluster,
    new_cluster_uuid,
    update_clusters,
)
from annexshell.admin.errors import (
    BadClusterName,
    NoSuchRemote,
    NotACluster,
    OtherCluster,
)
from annexshell.model.ids import is_cluster_uuid, looks_like_uuid
from tests.unit.admin.known import (
    MORE,
    N1,
    N2,
    N3,
    OTHER,
    POOL,
    behind,
    known,
    line,
    listed,
    node,
    published,
    warned,
)

POOL_HERE = f"annex.cluster.pool={POOL.decode()}"


def test_a_new_uuid_has_the_form_of_a_cluster() -> None:
    found = {new_cluster_uuid() for _ in range(20)}
    assert len(found) == 20
    assert all(is_cluster_uuid(uuid) and looks_like_uuid(uuid) for uuid in found)


def test_a_cluster_gets_a_setting_and_a_description() -> None:
    changes = init_cluster(known(), "pool", None, POOL)
    assert changes.settings == (Setting("annex.cluster.pool", POOL.decode()),)
    assert changes.described == {POOL: b"cluster pool"}
    assert init_cluster(known(), "pool", "", POOL).described == {POOL: b""}


@pytest.mark.parametrize(
    "name",
    ["", "a_b", "1a", "-a", ".a", "a b", "Pool", "\u00e9", "a\n", "a/b", "a..b", "a."],
)
def test_names_that_git_would_not_keep(name: str) -> None:
    with pytest.raises(BadClusterName, match="use lower-case letters"):
        init_cluster(known(), name, None, POOL)


@pytest.mark.parametrize("name", ["pool", "POOL", "Pool"])
def test_a_name_that_is_taken_changes_nothing(name: str) -> None:
    found = known(POOL_HERE, descriptions={POOL: b"x"})
    assert init_cluster(found, name, "other", MORE).none


def test_a_description_that_a_crash_prevented_is_added() -> None:
    changes = init_cluster(known(POOL_HERE), "pool", None, MORE)
    assert changes.settings == () and changes.described == {POOL: b"cluster pool"}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("pool", ["+n1"]),
        ("x pool\ty", ["+n1"]),
        ("POOL", ["+n1"]),
        ("other", []),
        ("", []),
    ],
)
def test_the_config_says_who_is_a_node(value: str, found: list[str]) -> None:
    changes = update_clusters(
        known(POOL_HERE, *node("n1", N1, f"cluster-node={value}"))
    )
    assert listed(changes) == found


def test_a_cluster_under_two_names_has_one_list_of_nodes() -> None:
    alias = f"annex.cluster.also={POOL.decode()}"
    settings = [
        *node("n1", N1, "cluster-node=pool"),
        *node("n2", N2, "cluster-node=also"),
    ]
    changes = update_clusters(known(POOL_HERE, alias, *settings))
    assert {cluster.nodes for cluster in changes.clusters} == {frozenset({N1, N2})}


def test_added_and_removed_come_in_the_order_of_uuids() -> None:
    settings = [
        *node("a", N1, "cluster-node=pool"),
        *node("z", N3, "cluster-node=pool"),
    ]
    changes = update_clusters(known(POOL_HERE, *settings, recorded={POOL: {N2}}))
    assert listed(changes) == ["+a", f"-{N2.decode()}", "+z"]


@pytest.mark.parametrize(
    ("description", "name"),
    [(None, "n1"), (b"", "[n1]"), (b"n1", "[n1]"), (b"disk", "disk [n1]")],
)
def test_what_a_removed_node_is_called(description: bytes | None, name: str) -> None:
    descriptions = {} if description is None else {N1: description}
    logs = {"recorded": {POOL: frozenset({N1})}, "descriptions": descriptions}
    assert listed(update_clusters(known(POOL_HERE, *node("n1", N1), **logs))) == [
        f"-{name}"
    ]


def test_a_removed_node_that_is_no_remote_any_more() -> None:
    logs = {"recorded": {POOL: frozenset({N1})}, "descriptions": {N1: b"disk"}}
    assert listed(update_clusters(known(POOL_HERE, **logs))) == ["-disk"]


def test_a_dead_node_is_neither_added_again_nor_removed() -> None:
    logs = {"recorded": {POOL: frozenset({N1})}, "dead": frozenset({N1})}
    settings = node("n1", N1, "cluster-node=pool")
    assert listed(update_clusters(known(POOL_HERE, *settings, **logs))) == []
    assert listed(update_clusters(known(POOL_HERE, **logs))) == []


def test_a_private_node_stays_out_of_the_log() -> None:
    settings = node("n1", N1, "cluster-node=pool")
    changes = update_clusters(known(POOL_HERE, *settings, private=frozenset({N1})))
    assert listed(changes) == []


def test_nodes_behind_another_gateway_stay() -> None:
    lines = {OTHER: line((N1, "n1"), (POOL, "pool"))}
    logs = {"lines": lines, "recorded": {POOL: frozenset({N1, N2})}}
    changes = update_clusters(known(POOL_HERE, *behind(), **logs))
    assert listed(changes) == [f"-{N2.decode()}"]
    assert published(changes) == ["B-n1", "pool"]


def test_a_cluster_is_never_a_node() -> None:
    lines = {OTHER: line((N1, "n1"), (POOL, "pool"))}
    settings = [POOL_HERE, "annex.cluster-node=pool", *behind()]
    changes = update_clusters(known(*settings, lines=lines))
    assert listed(changes) == ["+B-n1", "+B"]


def test_warnings_about_what_cannot_have_been_meant() -> None:
    settings = node("n1", N1, "cluster-node=pol pool")
    assert warned(update_clusters(known(POOL_HERE, *settings))) == ["UnknownCluster"]
    assert warned(update_clusters(known())) == ["NoCluster"]


def test_each_use_that_is_refused_is_told_once() -> None:
    settings = ["remote.n1.url=/x", "remote.n1.annex-cluster-node=pool more"]
    both = known(POOL_HERE, f"annex.cluster.more={MORE.decode()}", *settings)
    texts = [str(warning) for warning in update_clusters(both).warnings]
    assert ["a cluster node" in text for text in texts] == [True, False]


LINES = {OTHER: line((N1, "n1"), (POOL, "pool"))}


def joined(*settings: str, gateway: str = "B", name: str = "pool") -> list[str]:
    found = extend_cluster(known(*settings, lines=LINES), gateway, name, "/r")
    return [f"{one.name}={one.value}" for one in found.settings]


GATEWAY_SET = f"remote.B.annex-cluster-gateway={POOL.decode()}"


@pytest.mark.parametrize("name", ["pool", "Pool"])
def test_joining_a_cluster(name: str) -> None:
    assert joined(*behind(), name=name) == [POOL_HERE, GATEWAY_SET]
    assert joined(*behind(), POOL_HERE) == [GATEWAY_SET]
    assert joined(*behind(), POOL_HERE, GATEWAY_SET) == []


def test_a_gateway_of_another_cluster_stays_one() -> None:
    other = f"remote.B.annex-cluster-gateway={MORE.decode()}"
    expected = f"{other} {POOL.decode()}"
    assert joined(*behind(), other) == [POOL_HERE, expected]


@pytest.mark.parametrize(
    ("gateway", "name"), [("B", "none"), ("C", "pool"), ("B-", "pool")]
)
def test_what_is_not_offered(gateway: str, name: str) -> None:
    with pytest.raises(NoSuchRemote, match=f'named "{gateway}-{name}"'):
        joined(*behind(), gateway=gateway, name=name)


def test_a_gateway_by_path_offers_nothing() -> None:
    with pytest.raises(NoSuchRemote, match="over ssh"):
        joined(*node("B", OTHER))


def test_a_node_is_no_cluster() -> None:
    with pytest.raises(NotACluster, match="B-n1 is not a cluster remote"):
        joined(*behind(), name="n1")


def test_another_cluster_of_the_same_name_here() -> None:
    with pytest.raises(OtherCluster, match="unset it"):
        joined(*behind(), f"annex.cluster.pool={MORE.decode()}")


def test_the_name_must_be_one_that_git_keeps() -> None:
    lines = {OTHER: line((POOL, "po_ol"))}
    with pytest.raises(BadClusterName):
        extend_cluster(known(*behind(), lines=lines), "B", "po_ol", "/r")
