"""Who is a node of a cluster (spec 01 §8.2), and whom other gateways are to leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID
from annexshell.proxy.costs import prices
from annexshell.proxy.instantiated import Remote
from annexshell.proxy.members import MOST_BYPASSED, Cluster, Member
from annexshell.proxy.routes import Published
from annexshell.repository.config import GitConfig

A = UUID(b"aaaaaaaa-0000-4000-8000-000000000000")
B = UUID(b"bbbbbbbb-0000-4000-8000-000000000000")
D = UUID(b"dddddddd-0000-4000-8000-000000000000")
N1 = UUID(b"11111111-1111-4111-8111-111111111111")
N2 = UUID(b"22222222-1111-4111-8111-111111111111")
N3 = UUID(b"33333333-1111-4111-8111-111111111111")
C = UUID(b"acf788bc-41dd-8c24-b6ef-c199bfe447e6")
OTHER = UUID(b"acacacac-41dd-8c24-b6ef-c199bfe447e6")

MINE = ("annex.cluster.mine", C.decode())


def remote(name: str, url: str, uuid: UUID, **more: str) -> list[tuple[str, str]]:
    settings = {"url": url, "annex-uuid": uuid.decode()}
    settings |= {f"annex-{n.replace('_', '-')}": value for n, value in more.items()}
    return [(f"remote.{name}.{n}", value) for n, value in settings.items()]


PATH = remote("n1", "/srv/n1", N1, cluster_node="mine")
AWAY = remote("n2", "host:n2", N2, cluster_node="mine")
FAR = remote("B", "ssh://b/srv", B, cluster_gateway=C.decode())
FARTHER = remote("D", "ssh://d/srv", D, cluster_gateway=C.decode())
OFFERS = (Proxied(C, b"mine"), Proxied(N3, b"n3"))
LOG = {C: frozenset({N1, N2, N3, B})}
BOTH = {A: (), B: OFFERS, D: OFFERS}


def cluster(
    *settings: tuple[str, str],
    log: dict[UUID, frozenset[UUID]] = LOG,
    lines: Mapping[UUID, Sequence[Proxied]] = BOTH,
) -> Cluster:
    return Cluster(C, A, GitConfig([MINE, *settings]), Published(lines, log))


def members(found: Cluster, *received: UUID) -> list[Member]:
    def price(remotes: Sequence[Remote]) -> list[float]:
        return prices(found.config, remotes)

    return list(found.members(received, price))


def names(found: Cluster, *received: UUID) -> list[str]:
    return [member.name for member in members(found, *received)]


def test_direct_nodes_cheapest_first() -> None:
    assert members(cluster(*AWAY, *PATH)) == [
        Member("n1", N1, 100, "n1"),
        Member("n2", N2, 200, "n2"),
    ]
    dear = ("remote.n1.annex-cost", "250")
    assert names(cluster(*PATH, *AWAY, dear)) == ["n2", "n1"]


def test_the_log_alone_makes_no_node() -> None:
    assert names(cluster(*remote("n1", "/srv/n1", N1))) == []


def test_the_config_alone_makes_no_node() -> None:
    assert names(cluster(*PATH, log={C: frozenset({N2})})) == []
    assert names(cluster(*PATH, log={OTHER: frozenset({N1})})) == []


@pytest.mark.parametrize(
    "value, is_one",
    [
        ("mine", True),
        ("other  mine", True),
        ("MINE", True),
        ("other", False),
        ("", False),
    ],
)
def test_the_cluster_that_a_node_is_configured_for(value: str, is_one: bool) -> None:
    settings = remote("n1", "/srv/n1", N1, cluster_node=value)
    assert names(cluster(*settings)) == (["n1"] if is_one else [])


def test_a_node_of_another_cluster_of_ours() -> None:
    other = ("annex.cluster.other", OTHER.decode())
    settings = remote("n1", "/srv/n1", N1, cluster_node="other")
    log = {C: frozenset({N1}), OTHER: frozenset({N1})}
    assert names(cluster(*settings, other, log=log)) == []


def test_ignored_and_readonly_remotes_are_nodes_all_the_same() -> None:
    more = [(f"remote.n1.annex-{what}", "true") for what in ("ignore", "readonly")]
    assert names(cluster(*PATH, *more)) == ["n1"]


@pytest.mark.parametrize("uuid", [C, OTHER])
def test_a_cluster_is_never_a_node(uuid: UUID) -> None:
    """No log could tell what it stored: the client would drop the only copy."""
    settings = remote("odd", "host:odd", uuid, cluster_node="mine")
    assert names(cluster(*settings, *PATH, log={C: frozenset({N1, uuid})})) == ["n1"]


def test_the_gateway_itself_may_be_a_node() -> None:
    settings = remote("self", "/srv/a", A, cluster_node="mine")
    assert names(cluster(*settings, log={C: frozenset({A})})) == ["self"]


def test_the_cheapest_way_to_a_repository_is_used() -> None:
    twice = remote("cheap", "host:n1", N1, cluster_node="mine", cost="50")
    assert names(cluster(*PATH, *twice)) == ["cheap"]


# -- other gateways ----------------------------------------------------------------------


def test_another_gateway_of_the_cluster() -> None:
    assert members(cluster(*PATH, *FAR)) == [
        Member("n1", N1, 100, "n1"),
        Member("B-mine", C, 200, "B", B, 2),
    ]
    assert [m.gateway for m in members(cluster(*PATH, *FAR))] == [False, True]


def test_the_other_gateway_has_the_cost_of_its_remote() -> None:
    found = members(cluster(*FAR, ("remote.B.annex-cost", "150")))
    assert [m.cost for m in found] == [150]


@pytest.mark.parametrize("value", ["", OTHER.decode(), "mine"])
def test_only_if_the_config_calls_it_one(value: str) -> None:
    assert names(cluster(*remote("B", "ssh://b/srv", B, cluster_gateway=value))) == []


def test_among_several_clusters_of_one_gateway() -> None:
    both = f"{OTHER.decode()} {C.decode()}"
    far = remote("B", "ssh://b/srv", B, cluster_gateway=both)
    assert names(cluster(*far)) == ["B-mine"]


def test_two_remotes_of_one_gateway_are_one_node() -> None:
    second = remote("B2", "ssh://b2/srv", B, cluster_gateway=C.decode(), cost="150")
    assert names(cluster(*FAR, *second)) == ["B2-mine"]


def test_a_gateway_on_the_same_machine_is_none() -> None:
    assert names(cluster(*remote("B", "/srv/b", B, cluster_gateway=C.decode()))) == []


def test_we_are_never_another_gateway_of_ours() -> None:
    mirror = remote("self", "ssh://a/srv", A, cluster_gateway=C.decode())
    assert names(cluster(*mirror, lines={A: OFFERS})) == []


# -- what others ask already -------------------------------------------------------------


def test_gateways_that_were_passed_already() -> None:
    both = cluster(*PATH, *FAR, *FARTHER)
    assert names(both) == ["n1", "B-mine", "D-mine"]
    assert names(both, B) == ["n1", "D-mine"]
    assert names(both, D, B) == ["n1"]


def test_nodes_that_are_asked_already() -> None:
    assert names(cluster(*PATH, *AWAY, *FAR), N1) == ["n2", "B-mine"]


def test_a_gateway_that_is_a_node_of_ours_is_not_asked_by_itself() -> None:
    """It is in the list as a gateway: nobody else stores at it."""
    node = remote("B", "ssh://b/srv", B, cluster_node="mine")
    assert names(cluster(*node), B) == ["B"]
    with_itself = {B: (*OFFERS, Proxied(B, b"self"))}
    assert names(cluster(*node, lines=with_itself), B) == []


def test_a_gateway_that_is_listed_to_itself_is_meant_as_a_node() -> None:
    itself = remote("self", "/srv/a", A, cluster_node="mine")
    found = cluster(*itself, log={C: frozenset({A})}, lines={A: OFFERS})
    assert names(found) == ["self"]
    assert names(found, A) == []


def test_a_request_that_comes_back_goes_no_further() -> None:
    both = cluster(*PATH, *FAR)
    assert names(both, A) == ["n1"]
    a_node = cluster(*PATH, *FAR, log={C: frozenset({A, N1})})
    assert names(a_node, A) == ["n1", "B-mine"]


def test_too_long_a_list_leads_to_no_gateway() -> None:
    long = [UUID(b"%d" % n) for n in range(MOST_BYPASSED + 1)]
    both = cluster(*PATH, *FAR)
    assert names(both, *long[1:]) == ["n1", "B-mine"]
    assert names(both, *long) == ["n1"]


# -- whom the next one is to leave out ---------------------------------------------------


def bypass(found: Cluster, name: str, *received: UUID) -> tuple[UUID, ...]:
    all_of_them = members(found, *received)
    [asked] = [member for member in all_of_them if member.name == name]
    return found.bypass(asked, all_of_them, received)


def test_what_another_gateway_is_not_to_ask() -> None:
    both = cluster(*PATH, *AWAY, *FAR, *FARTHER)
    x = UUID(b"eeeeeeee-0000-4000-8000-000000000000")
    assert bypass(both, "B-mine") == (N1, N2, A, D)
    assert bypass(both, "B-mine", x) == (N1, N2, A, D, x)
    assert bypass(both, "B-mine", D) == (N1, N2, A, D)


def test_what_is_out_of_our_reach_may_be_in_theirs() -> None:
    both = cluster(*PATH, *AWAY, *FAR)
    found = [m for m in members(both) if m.name != "n1"]
    assert both.bypass(found[-1], found, ()) == (N2, A)


def test_a_gateway_that_is_only_a_node_to_us_stays_one_for_others() -> None:
    node = remote("B", "ssh://b/srv", B, cluster_node="mine")
    assert bypass(cluster(*PATH, *node, *FARTHER), "D-mine") == (N1, A)


def test_what_is_no_uuid_is_not_passed_on() -> None:
    assert bypass(cluster(*FAR), "B-mine", UUID(b"../x")) == (A,)


@pytest.mark.thorough
def test_what_we_say_fits_on_a_line() -> None:
    nodes = [UUID(b"%08d-1111-4111-8111-111111111111" % n) for n in range(1000)]
    settings = [
        setting
        for n, uuid in enumerate(nodes)
        for setting in remote(f"n{n}", "/x", uuid, cluster_node="mine")
    ]
    many = cluster(*settings, *FAR, log={C: frozenset(nodes)})
    said = bypass(many, "B-mine")
    assert A in said
    assert 20_000 < len(b" ".join(said)) < 32_000
