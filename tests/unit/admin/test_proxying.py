"""What a gateway publishes: spec 01 §11.1, updateproxy."""

from __future__ import annotations

import pytest

from annexshell.admin.proxying import update_proxy
from annexshell.model.ids import UUID
from tests.support.snapshots import (
    GATE,
    N1,
    N2,
    N3,
    OTHER,
    POOL,
    behind,
    known,
    line,
    node,
    published,
    warned,
)

POOL_HERE = f"annex.cluster.pool={POOL.decode()}"


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("proxy=true", ["n1"]),
        ("proxy=1", ["n1"]),
        ("proxy=junk", []),
        ("proxy=false", []),
        ("cluster-node=pool", ["n1"]),
        ("cluster-node=unknown", ["n1"]),
        ("cluster-node=", ["n1"]),
        ("ignore=true", []),
    ],
)
def test_what_the_config_asks_for(setting: str, names: list[str]) -> None:
    assert published(update_proxy(known(*node("n1", N1, setting)))) == names


def test_the_default_for_all_remotes() -> None:
    assert published(update_proxy(known("annex.proxy=true", *node("n1", N1)))) == ["n1"]


def test_clusters_are_published_under_their_names() -> None:
    assert published(update_proxy(known(POOL_HERE, "annex.cluster.x=junk"))) == ["pool"]


def test_what_changes_is_listed_in_the_order_of_uuids() -> None:
    settings = [*node("n1", N1, "proxy=1"), *node("n3", N3, "proxy=1")]
    lines = {GATE: line((N2, "n2"), (N3, "old"))}
    changes = update_proxy(known(*settings, lines=lines))
    assert changes.proxy is not None
    found = [(one.name, one.added) for one in changes.proxy.listed]
    assert found == [(b"n1", True), (b"n2", False), (b"n3", True), (b"old", False)]


def test_nothing_to_say_is_no_change() -> None:
    settings = node("n1", N1, "proxy=1")
    assert update_proxy(known(*settings, lines={GATE: line((N1, "n1"))})).none
    assert update_proxy(known()).none


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        (["remote.n1.url=/x", "remote.n1.annex-proxy=1"], "UnknownUUID"),
        (node("n1", UUID(b"a b"), "proxy=1"), "UnknownUUID"),
        (node("a/b", N1, "proxy=1"), "IllegalName"),
        (node("\x1b[2J", N1, "proxy=1"), "IllegalName"),
    ],
)
def test_what_cannot_be_proxied_to(settings: list[str], warning: str) -> None:
    changes = update_proxy(known(*settings))
    assert published(changes) == [] and warned(changes) == [warning]
    assert str(changes.warnings[0]).isprintable()


@pytest.mark.parametrize(
    ("stored", "names"),
    [
        ({"type": "directory"}, ["d"]),
        ({"exporttree": "yes", "annexobjects": "yes"}, ["d"]),
        ({"exporttree": "yes"}, []),
        ({"exporttree": "no"}, ["d"]),
    ],
)
def test_special_remotes(stored: dict[str, str], names: list[str]) -> None:
    settings = ["remote.d.annex-directory=/d", "remote.d.annex-proxy=true"]
    settings.append(f"remote.d.annex-uuid={N1.decode()}")
    changes = update_proxy(known(*settings, special={N1: stored}))
    assert published(changes) == names
    assert warned(changes) == ([] if names else ["ExportOnly"])


def test_a_special_remote_of_another_ones_config() -> None:
    settings = ["remote.d.annex-s3=true", "remote.d.annex-proxy=true"]
    settings.append(f"remote.d.annex-uuid={N1.decode()}")
    settings.append(f"remote.d.annex-config-uuid={N2.decode()}")
    changes = update_proxy(known(*settings, special={N2: {"exporttree": "yes"}}))
    assert warned(changes) == ["ExportOnly"]


def test_settings_alone_make_no_remote() -> None:
    settings = [f"remote.n.annex-uuid={N1.decode()}", "remote.n.annex-proxy=true"]
    changes = update_proxy(known(*settings))
    assert published(changes) == [] and warned(changes) == []


LINES = {OTHER: line((N1, "n1"), (N2, "n2"), (POOL, "pool"))}
NODES = {POOL: frozenset({N1, N2})}


def test_nodes_behind_another_gateway() -> None:
    found = known(POOL_HERE, *behind(), lines=LINES, recorded=NODES)
    assert published(update_proxy(found)) == ["B-n1", "B-n2", "pool"]


@pytest.mark.parametrize("name", ["B/x", ".B"])
def test_names_through_a_gateway_must_be_legal_too(name: str) -> None:
    found = known(POOL_HERE, *behind(name), lines=LINES, recorded=NODES)
    changes = update_proxy(found)
    assert published(changes) == ["pool"]
    assert warned(changes) == ["IllegalName", "IllegalName"]


def test_a_node_of_our_own_is_not_published_twice() -> None:
    settings = [*node("mine", N1, "cluster-node=pool"), *behind()]
    found = known(POOL_HERE, *settings, lines=LINES, recorded=NODES)
    assert published(update_proxy(found)) == ["mine", "B-n2", "pool"]


def test_other_gateways_nodes_count_only_in_clusters_of_ours() -> None:
    assert published(update_proxy(known(*behind(), lines=LINES, recorded=NODES))) == []


def test_chained_proxies() -> None:
    settings = [*behind(), "remote.B.annex-proxy=true"]
    found = known(*settings, lines=LINES, recorded=NODES)
    assert published(update_proxy(found)) == ["B-n1", "B-n2", "B-pool", "B"]


def test_dead_and_private_nodes_are_left_out() -> None:
    logs = {"lines": LINES, "recorded": NODES}
    dead = known(POOL_HERE, *behind(), dead=frozenset({N1}), **logs)
    assert published(update_proxy(dead)) == ["B-n2", "pool"]
    private = known(*node("n3", N3, "proxy=1"), private=frozenset({N3}))
    assert update_proxy(private).none


def test_nodes_about_to_be_recorded_count() -> None:
    found = known(POOL_HERE, *behind(), lines=LINES)
    assert published(update_proxy(found)) == ["pool"]
    names = published(update_proxy(found, {POOL: frozenset({N1})}))
    assert names == ["B-n1", "pool"]
