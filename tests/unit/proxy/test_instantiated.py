"""Remotes that are made of what gateways say they proxy (spec 01 §11.2)."""

from __future__ import annotations

import pytest

from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID
from annexshell.proxy.instantiated import Remote, configured, instantiated, remotes_of
from annexshell.repository.config import GitConfig

B = UUID(b"bbbbbbbb-0000-4000-8000-000000000000")
X = UUID(b"11111111-1111-4111-8111-111111111111")
Y = UUID(b"22222222-1111-4111-8111-111111111111")
CLUSTER = UUID(b"acf788bc-41dd-8c24-b6ef-c199bfe447e6")

URL = ("remote.B.url", "ssh://host/srv")
HAS_UUID = ("remote.B.annex-uuid", B.decode())
LINES = {B: (Proxied(X, b"n2"), Proxied(Y, b"n3"), Proxied(CLUSTER, b"mine"))}
CLUSTERS = {CLUSTER: frozenset({X})}


def made(*settings: tuple[str, str]) -> list[Remote]:
    return list(instantiated(GitConfig(list(settings)), LINES, CLUSTERS))


def test_one_for_each_entry() -> None:
    assert made(URL, HAS_UUID) == [
        Remote("B-n2", X, "B", B, behind=True, hops=2),
        Remote("B-n3", Y, "B", B, hops=2),
        Remote("B-mine", CLUSTER, "B", B, hops=2),
    ]


@pytest.mark.parametrize("url", ["host:srv", "short:srv"])
def test_other_urls_over_ssh(url: str) -> None:
    rewritten = ("url.ssh://host/.insteadof", "short:")
    assert len(made(("remote.B.url", url), HAS_UUID, rewritten)) == 3


@pytest.mark.parametrize("url", ["/srv", "file:///srv", "https://host/srv", "x::y"])
def test_only_over_ssh(url: str) -> None:
    assert made(("remote.B.url", url), HAS_UUID) == []


def test_not_of_a_remote_without_url_or_uuid() -> None:
    assert made(HAS_UUID) == []
    assert made(URL) == []


def test_any_setting_of_that_name_is_in_the_way() -> None:
    names = {r.name for r in made(URL, HAS_UUID, ("remote.B-n2.annex-foo", "1"))}
    assert names == {"B-n3", "B-mine"}


@pytest.mark.parametrize("uuid", [b"x;id", b"$(id)", b"a'b", b"a\xffb", b" x"])
def test_what_is_no_uuid_is_no_remote(uuid: bytes) -> None:
    """A client can push it, and it would be a word of a command at the gateway."""
    lines = {B: (Proxied(UUID(uuid), b"n1"), Proxied(X, b"n2"))}
    found = instantiated(GitConfig([URL, HAS_UUID]), lines, {})
    assert [remote.uuid for remote in found] == [X]


@pytest.mark.thorough
def test_one_repository_under_many_names() -> None:
    """The way to each is looked for once, however many names of it were pushed."""
    listed = [(UUID(b"u%d" % (i // 60)), b"n%d" % i) for i in range(60_000)]
    lines = {B: tuple(Proxied(*entry) for entry in listed)}
    found = list(instantiated(GitConfig([URL, HAS_UUID]), lines, {}))
    assert len(found) == len(listed)
    assert {remote.hops for remote in found} == {2}


def test_ignoring_a_gateway_does_not_matter() -> None:
    assert len(made(URL, HAS_UUID, ("remote.B.annex-ignore", "true"))) == 3


def test_two_remotes_of_one_gateway() -> None:
    second = [("remote.B2.url", "two:srv"), ("remote.B2.annex-uuid", B.decode())]
    names = [r.name for r in made(URL, HAS_UUID, *second)]
    assert names == ["B-n2", "B-n3", "B-mine", "B2-n2", "B2-n3", "B2-mine"]


def test_a_name_is_given_once() -> None:
    """``B-n`` by ``x`` and ``B`` by ``n-x`` are the same words."""
    config = GitConfig(
        [URL, HAS_UUID, ("remote.B-n.url", "h:x"), ("remote.B-n.annex-uuid", "u")]
    )
    lines = {B: (Proxied(X, b"n-x"),), UUID(b"u"): (Proxied(Y, b"x"),)}
    found = list(instantiated(config, lines, {}))
    assert [(r.name, r.uuid) for r in found] == [("B-n-x", X)]


def test_settings_that_are_inherited() -> None:
    settings = [
        ("remote.B.annex-cost", "5"),
        ("remote.B.annex-proxy", "true"),
        ("remote.B.annex-cluster-node", "mine"),
        ("remote.B.annex-cluster-gateway", CLUSTER.decode()),
    ]
    config = GitConfig([URL, HAS_UUID, *settings])
    [remote, *_] = instantiated(config, LINES, CLUSTERS)
    assert remote.setting(config, "cost") == "5"
    assert remote.setting(config, "proxy") == "true"
    assert remote.setting(config, "cluster-node") is None
    assert remote.setting(config, "cluster-gateway") is None


def test_a_gateway_is_not_looked_behind_twice() -> None:
    """What is behind a gateway behind a gateway is what the nearer one lists."""
    lines = {B: (Proxied(X, b"C"),), X: (Proxied(Y, b"n4"),)}
    config = GitConfig([URL, HAS_UUID])
    assert [r.name for r in instantiated(config, lines, {})] == ["B-C"]


def test_the_connections_it_takes() -> None:
    lines = {
        B: (Proxied(Y, b"C-n4"), Proxied(X, b"n4"), Proxied(Y, b"Cn4")),
        X: (Proxied(Y, b"n4"),),
    }
    config = GitConfig([URL, HAS_UUID])
    hops = {r.name: r.hops for r in instantiated(config, lines, {})}
    assert hops == {"B-C-n4": 3, "B-n4": 2, "B-Cn4": 2}


def test_lists_that_refer_to_each_other_come_to_an_end() -> None:
    names = [b"-".join([b"a"] * n) for n in range(1, 200)]
    lines = {
        UUID(b"gateway %d" % n): tuple(Proxied(Y, name) for name in names)
        for n in range(20)
    }
    lines[B] = (Proxied(Y, names[-1]),)
    config = GitConfig([URL, HAS_UUID])
    [remote] = instantiated(config, lines, {})
    assert remote.hops == 2


def test_configured_ones_come_first() -> None:
    config = GitConfig([URL, HAS_UUID, ("remote.plain.url", "/srv")])
    assert list(configured(config)) == [Remote("B", B, "B")]
    names = [r.name for r in remotes_of(config, LINES, CLUSTERS)]
    assert names == ["B", "B-n2", "B-n3", "B-mine"]
