"""When a uuid may be proxied: the branch says so AND the git config allows it (§7.1)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from annexshell.errors import (
    CannotServeCluster,
    NotConfiguredToProxy,
    ShellError,
    UUIDMismatch,
)
from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID
from annexshell.proxy.instantiated import Remote
from annexshell.proxy.routes import ClusterRoute, Published, own_clusters, route
from annexshell.repository.config import GitConfig

G = UUID(b"00000000-0000-4000-8000-000000000000")
B = UUID(b"bbbbbbbb-0000-4000-8000-000000000000")
X = UUID(b"11111111-1111-4111-8111-111111111111")
CLUSTER = UUID(b"acf788bc-41dd-8c24-b6ef-c199bfe447e6")

URL = ("remote.n1.url", "/srv/n1")
HAS_UUID = ("remote.n1.annex-uuid", X.decode())
ALLOWED = ("remote.n1.annex-proxy", "true")
NODE = ("remote.n1.annex-cluster-node", "other mine")
MINE = ("annex.cluster.mine", CLUSTER.decode())

GATEWAY = [
    ("remote.B.url", "ssh://b/srv"),
    ("remote.B.annex-uuid", B.decode()),
]
OFFERS = ("remote.B.annex-cluster-gateway", f"acacacac-0000 {CLUSTER.decode()}")


def published(
    *own: tuple[UUID, bytes],
    other: tuple[tuple[UUID, bytes], ...] = (),
    clusters: dict[UUID, frozenset[UUID]] | None = None,
    descriptions: dict[UUID, bytes] | None = None,
) -> Published:
    """What the branch says; ``other`` is the line of the gateway B."""
    lines = {G: own, B: other}
    return Published(
        {uuid: tuple(Proxied(*e) for e in line) for uuid, line in lines.items()},
        clusters or {},
        descriptions or {},
    )


LISTED = published((X, b"n1"), descriptions={X: b"the node"})
CLUSTERED = published((CLUSTER, b"mine"), clusters={CLUSTER: frozenset({X})})


def routed(published: Published, *settings: tuple[str, str], asked: UUID = X) -> str:
    found = route(GitConfig(list(settings)), G, asked, published, "/srv/gw")
    assert isinstance(found, Remote)
    return found.name


def test_both_say_so() -> None:
    assert routed(LISTED, URL, HAS_UUID, ALLOWED) == "n1"


@pytest.mark.parametrize("value", ["1", "yes", "TRUE", "on", "7"])
def test_the_values_that_allow(value: str) -> None:
    assert routed(LISTED, URL, HAS_UUID, ("remote.n1.annex-proxy", value)) == "n1"


@pytest.mark.parametrize("value", ["false", "", "0", "junk", "t"])
def test_the_values_that_do_not(value: str) -> None:
    with pytest.raises(NotConfiguredToProxy):
        routed(LISTED, URL, HAS_UUID, ("remote.n1.annex-proxy", value))


def test_annex_proxy_without_a_remote_is_the_default_for_all() -> None:
    assert routed(LISTED, URL, HAS_UUID, ("annex.proxy", "true")) == "n1"
    with pytest.raises(ShellError):
        own = ("remote.n1.annex-proxy", "false")
        routed(LISTED, URL, HAS_UUID, ("annex.proxy", "true"), own)


def test_the_branch_alone_is_never_enough() -> None:
    with pytest.raises(NotConfiguredToProxy, match="the node"):
        routed(LISTED, URL, HAS_UUID)
    with pytest.raises(ShellError):
        routed(LISTED, URL, ALLOWED)


@pytest.mark.parametrize("line", [(), ((G, b"n1"),)])
def test_the_config_alone_is_not_enough_either(
    line: tuple[tuple[UUID, bytes], ...],
) -> None:
    with pytest.raises(UUIDMismatch, match="expected repository UUID 1111"):
        routed(published(*line), URL, HAS_UUID, ALLOWED)


def test_a_renamed_remote_no_longer_matches() -> None:
    with pytest.raises(UUIDMismatch):
        routed(published((X, b"old-name")), URL, HAS_UUID, ALLOWED)


def test_a_node_of_a_configured_cluster_may_be_reached_alone() -> None:
    assert routed(LISTED, URL, HAS_UUID, NODE, MINE) == "n1"
    with pytest.raises(NotConfiguredToProxy):
        routed(LISTED, URL, HAS_UUID, NODE)


def test_the_cheapest_of_several() -> None:
    second = [("remote.n2.annex-uuid", X.decode()), ("remote.n2.annex-proxy", "true")]
    both = published((X, b"n1"), (X, b"n2"))
    away = ("remote.n1.url", "host:n1")
    near = ("remote.n2.url", "/srv/n2")
    assert routed(both, away, HAS_UUID, ALLOWED, *second, near) == "n2"
    dear = ("remote.n2.annex-cost", "300")
    assert routed(both, away, HAS_UUID, ALLOWED, *second, near, dear) == "n1"


@pytest.mark.parametrize("remotes", [1, 2])
def test_costs_are_asked_for_only_where_they_decide(remotes: int) -> None:
    names = [f"n{number}" for number in range(remotes)]
    settings = [
        (f"remote.{name}.annex-{setting}", value)
        for name in names
        for setting, value in (("uuid", X.decode()), ("proxy", "true"))
    ]
    asked: list[Sequence[Remote]] = []

    def price(found: Sequence[Remote]) -> list[float]:
        asked.append(found)
        return [2.0, 1.0]

    listed = published(*((X, name.encode()) for name in names))
    found = route(GitConfig(settings), G, X, listed, "/srv/gw", price)
    assert found.name == names[-1]
    assert len(asked) == remotes - 1


# -- behind another gateway --------------------------------------------------------------

BEHIND = published((X, b"B-n1"), other=((X, b"n1"),), descriptions={X: b"the node"})


@pytest.mark.parametrize("own", [OFFERS, ("remote.B.annex-proxy", "true")])
def test_what_a_gateway_of_a_cluster_offers(own: tuple[str, str]) -> None:
    assert routed(BEHIND, *GATEWAY, own) == "B-n1"


@pytest.mark.parametrize("value", ["", " "])
def test_any_other_gateway_offers_nothing_to_our_clients(value: str) -> None:
    with pytest.raises(NotConfiguredToProxy):
        routed(BEHIND, *GATEWAY)
    with pytest.raises(NotConfiguredToProxy):
        routed(BEHIND, *GATEWAY, ("remote.B.annex-cluster-gateway", value))


def test_a_gateway_itself_is_not_what_it_offers() -> None:
    """Its config has no say about its own repository, and the branch is anybody's."""
    both = published((B, b"B-x"), other=((B, b"x"),), descriptions={B: b"the gateway"})
    with pytest.raises(NotConfiguredToProxy):
        routed(both, *GATEWAY, OFFERS, asked=B)
    chained = ("remote.B.annex-proxy", "true")
    assert routed(both, *GATEWAY, OFFERS, chained, asked=B) == "B-x"


def test_the_shortest_way_among_equals() -> None:
    """Through B it takes one connection more, as the name there tells."""
    c = UUID(b"cccccccc-0000-4000-8000-000000000000")
    lines = {
        G: (Proxied(X, b"B-C-n1"), Proxied(X, b"C-n1")),
        B: (Proxied(X, b"C-n1"),),
        c: (Proxied(X, b"n1"),),
    }
    settings = [
        *GATEWAY,
        ("remote.C.url", "ssh://c/srv"),
        ("remote.C.annex-uuid", c.decode()),
        ("annex.proxy", "true"),
    ]
    assert routed(Published(lines), *settings) == "C-n1"


# -- clusters ----------------------------------------------------------------------------


def cluster_of(published: Published, *settings: tuple[str, str]) -> ClusterRoute:
    found = route(GitConfig(list(settings)), G, CLUSTER, published, "/srv/gw")
    assert isinstance(found, ClusterRoute)
    return found


def test_a_cluster_that_both_know() -> None:
    assert cluster_of(CLUSTERED, MINE) == ClusterRoute(CLUSTER, "mine")


def test_a_cluster_that_has_lost_all_its_nodes_is_still_one() -> None:
    empty = published((CLUSTER, b"mine"), clusters={CLUSTER: frozenset()})
    assert cluster_of(empty, MINE).uuid == CLUSTER


def test_a_cluster_that_is_not_published_is_another_repository() -> None:
    with pytest.raises(UUIDMismatch):
        cluster_of(published(clusters={CLUSTER: frozenset({X})}), MINE)


def test_a_cluster_without_a_list_of_nodes() -> None:
    with pytest.raises(CannotServeCluster, match="cluster.log"):
        cluster_of(published((CLUSTER, b"mine")), MINE)


@pytest.mark.parametrize(
    "settings",
    [
        [],
        [("annex.cluster.mine", "acacacac-41dd-8c24-b6ef-c199bfe447e6")],
        [("annex.cluster.mine", X.decode())],
        [*GATEWAY, OFFERS],
    ],
)
def test_the_branch_alone_makes_no_cluster(settings: list[tuple[str, str]]) -> None:
    """Served without its nodes, it would say that it has what nobody has."""
    with pytest.raises(CannotServeCluster, match="extendcluster"):
        cluster_of(CLUSTERED, *settings)


def test_a_cluster_that_another_gateway_leads_to() -> None:
    far = published(
        (CLUSTER, b"B-mine"),
        other=((CLUSTER, b"mine"),),
        clusters={CLUSTER: frozenset({X})},
    )
    assert cluster_of(far, *GATEWAY, OFFERS) == ClusterRoute(CLUSTER, "B-mine")
    with pytest.raises(CannotServeCluster):
        cluster_of(far, *GATEWAY, ("remote.B.annex-cluster-gateway", "mine"))
    with pytest.raises(CannotServeCluster):
        cluster_of(far, ("remote.B.url", "/srv/b"), GATEWAY[1], OFFERS)


def test_clusters_of_the_config() -> None:
    settings = [MINE, ("annex.cluster.no", X.decode()), ("annex.clusters", "x")]
    assert own_clusters(GitConfig(settings)) == {"mine": CLUSTER}
