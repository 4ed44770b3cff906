"""When a uuid may be proxied: the branch says so AND the git config allows it (§7.1)."""

from __future__ import annotations

import pytest

from annexshell.errors import (
    CannotServeCluster,
    NotConfiguredToProxy,
    ShellError,
    UUIDMismatch,
)
from annexshell.model.ids import UUID
from annexshell.proxy.routes import Published, cost, route
from annexshell.repository.config import GitConfig

G = UUID(b"00000000-0000-4000-8000-000000000000")
X = UUID(b"11111111-1111-4111-8111-111111111111")
CLUSTER = UUID(b"acf788bc-41dd-8c24-b6ef-c199bfe447e6")

URL = ("remote.n1.url", "/srv/n1")
HAS_UUID = ("remote.n1.annex-uuid", X.decode())
ALLOWED = ("remote.n1.annex-proxy", "true")
LISTED = Published(frozenset({(X, b"n1")}), {X: b"the node"})
NODE = ("remote.n1.annex-cluster-node", "other mine")


def routed(published: Published, *settings: tuple[str, str], asked: UUID = X) -> str:
    return route(GitConfig(list(settings)), G, asked, published, "/srv/gw")


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


@pytest.mark.parametrize(
    "published",
    [
        Published(None, {}),
        Published(frozenset(), {}),
        Published(frozenset({(G, b"n1")}), {}),
    ],
)
def test_the_config_alone_is_not_enough_either(published: Published) -> None:
    with pytest.raises(UUIDMismatch, match="expected repository UUID 1111"):
        routed(published, URL, HAS_UUID, ALLOWED)


def test_a_renamed_remote_no_longer_matches() -> None:
    renamed = Published(frozenset({(X, b"old-name")}), {})
    with pytest.raises(UUIDMismatch):
        routed(renamed, URL, HAS_UUID, ALLOWED)


def test_a_node_of_a_configured_cluster_may_be_reached_alone() -> None:
    cluster = ("annex.cluster.mine", CLUSTER.decode())
    assert routed(LISTED, URL, HAS_UUID, NODE, cluster) == "n1"
    with pytest.raises(NotConfiguredToProxy):
        routed(LISTED, URL, HAS_UUID, NODE)


def test_the_cheapest_of_several() -> None:
    second = [("remote.n2.annex-uuid", X.decode()), ("remote.n2.annex-proxy", "true")]
    published = Published(frozenset({(X, b"n1"), (X, b"n2")}), {})
    away = ("remote.n1.url", "host:n1")
    near = ("remote.n2.url", "/srv/n2")
    assert routed(published, away, HAS_UUID, ALLOWED, *second, near) == "n2"
    dear = ("remote.n2.annex-cost", "300")
    assert routed(published, away, HAS_UUID, ALLOWED, *second, near, dear) == "n1"


@pytest.mark.parametrize(
    "url, wanted",
    [("/srv/x", 100), ("host:x", 200), ("ssh://h/x", 200), ("./a:b", 100)],
)
def test_costs(url: str, wanted: float) -> None:
    assert cost(GitConfig([("remote.r.url", url)]), "r") == wanted


def test_a_cluster_is_refused_and_never_answered_for() -> None:
    listed = Published(frozenset({(CLUSTER, b"mine")}), {})
    with pytest.raises(CannotServeCluster):
        routed(listed, ("annex.cluster.mine", CLUSTER.decode()), asked=CLUSTER)
    with pytest.raises(UUIDMismatch):
        routed(Published(None, {}), asked=CLUSTER)
