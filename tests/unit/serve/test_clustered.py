"""A cluster's nodes as a session gets them: chosen, opened, settled and closed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio

from annexshell.cluster.node import Node
from annexshell.errors import PeerUnreachable
from annexshell.logs.proxies import proxied_by
from annexshell.model.ids import UUID
from annexshell.model.payload import Payload, Validity
from annexshell.protocol.conversation import Role
from annexshell.proxy.routes import ClusterRoute, Published
from annexshell.remotes.peer import PeerStore
from annexshell.remotes.recipes import SshHost
from annexshell.repository.branch import Branch
from annexshell.repository.content import Content
from annexshell.repository.open import Repository, open_repository
from annexshell.serve import nodes as serve_nodes
from annexshell.serve.answers import Session
from annexshell.serve.clustered import Received, Select, clustered
from annexshell.serve.connection import converse
from annexshell.serve.nodes import Nodes
from annexshell.serve.stores import Served
from annexshell.store import AlreadyHave, Store
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.async_tests import trio_test
from tests.support.content import HELLO, HERE, make_repository, sha256_key
from tests.support.memory_store import MemoryStore
from tests.support.pair import allow, link_pair
from tests.support.repositories import U1, U2

C = UUID(b"acf788bc-41dd-8c24-b6ef-c199bfe447e6")
A = UUID(HERE.encode())
B = UUID(b"bbbbbbbb-0000-4000-8000-000000000000")
KEY = sha256_key(HELLO)


@attrs.define
class Cluster:
    """A session's cluster, with a Store that only keeps what it was made of."""

    gateway: Repository
    select: Select = list
    received: Received = tuple
    served: Served | None = None

    def build(
        self,
        nodes: Nodes,
        route: ClusterRoute,
        select: Select,
        received: Received,
    ) -> Store:
        assert route == ClusterRoute(C, "mine")
        self.select, self.received = select, received
        return MemoryStore()

    def serve(self) -> Served:
        branch = Branch(self.gateway)
        published = Published(proxied_by(branch.read(b"proxy.log")), branch.clusters())
        nodes = Nodes(self.gateway, branch)
        route = ClusterRoute(C, "mine")
        self.served = clustered(nodes, route, published, self.build)
        return self.served

    def node(self, name: str) -> Node:
        [found] = [node for node in self.select() if node.name == name]
        return found


def remote(name: str, url: str | Path, uuid: UUID, **more: str) -> dict[str, str]:
    settings = {"url": str(url), "annex-uuid": uuid.decode(), **more}
    return {f"remote_{name}_{what}": value for what, value in settings.items()}


def path_node(name: str, url: str | Path, uuid: UUID) -> dict[str, str]:
    return remote(name, url, uuid, **{"annex-cluster-node": "mine"})


GATEWAY_B = remote("B", "ssh://b/srv", B, **{"annex-cluster-gateway": C.decode()})


def cluster_at(
    path: Path, *nodes: dict[str, str], log: Sequence[UUID] = (U1, U2, A)
) -> Cluster:
    more = {"annex_cluster_mine": C.decode()}
    settings = {
        name: value for node in nodes for name, value in node.items() if value != "-"
    }
    gateway = make_repository(path / "gw", more=settings)
    with open(path / "gw/config", "a") as config:
        config.write(f'[annex "cluster"]\n\tmine = {more["annex_cluster_mine"]}\n')
    gateway = open_repository(gateway.path)
    branch = Branch(gateway)
    lines = b"1s %b %b:mine\n1s %b %b:mine\n" % (A, C, B, C)
    branch.change(b"proxy.log", A, lambda old: lines)
    members = b"1s %b %b\n" % (C, b" ".join(sorted(log)))
    branch.change(b"cluster.log", A, lambda old: members)
    branch.settle()
    return Cluster(gateway)


async def store_at(store: Store) -> None:
    async with store.put(KEY, b"") as intake:
        assert not isinstance(intake, AlreadyHave)

        async def valid() -> Validity:
            return Validity.VALID

        payload = Payload(len(HELLO), prefix=HELLO, verdict=valid)
        assert (await intake.accept(payload)).ok


@trio_test
async def test_nodes_by_path_are_opened_settled_and_closed(tmp_path: Path) -> None:
    place = make_repository(tmp_path / "n1", annex_uuid=U1.decode())
    cluster = cluster_at(tmp_path, path_node("n1", "../n1", U1))
    served = cluster.serve()
    node = cluster.node("n1")
    assert (node.uuid, node.cost, node.gateway) == (U1, 100.0, False)
    await store_at(node.store)
    assert Branch(place).dirty
    await served.settle()
    assert not Branch(place).dirty
    assert Branch(place).locations(KEY) == {U1}
    await served.close()
    assert Content(place).present(KEY)


def test_a_node_by_path_tells_what_its_disk_can_take(tmp_path: Path) -> None:
    make_repository(tmp_path / "n1", annex_uuid=U1.decode(), annex_diskreserve="0")
    big = "1000000 TB"
    make_repository(tmp_path / "n2", annex_uuid=U2.decode(), annex_diskreserve=big)
    places = {"n1": U1, "n2": U2, "n3": A}
    nodes = [path_node(name, f"../{name}", uuid) for name, uuid in places.items()]
    cluster = cluster_at(tmp_path, *nodes)
    cluster.serve()
    rooms = {name: cluster.node(name).room() for name in places}
    assert rooms["n1"] and rooms["n2"] == 0 and rooms["n3"] is None


@trio_test
async def test_the_gateway_itself_is_a_node_like_any_other(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, path_node("self", tmp_path / "gw", A))
    served = cluster.serve()
    await store_at(cluster.node("self").store)
    await served.settle()
    await served.close()
    assert Content(cluster.gateway).present(KEY)
    assert Branch(cluster.gateway).locations(KEY) == {A, C}


@trio_test
async def test_a_node_that_cannot_be_opened_fails_alone(tmp_path: Path) -> None:
    make_repository(tmp_path / "n1", annex_uuid=U1.decode())
    make_repository(tmp_path / "swapped", annex_uuid=B.decode())
    special = path_node("special", "-", A)
    cluster = cluster_at(
        tmp_path,
        path_node("n1", "../n1", U1),
        path_node("n2", "../swapped", U2),
        special,
    )
    served = cluster.serve()
    assert not await cluster.node("n1").store.present(KEY)
    with pytest.raises(PeerUnreachable, match="n2: another repository is at"):
        await cluster.node("n2").store.present(KEY)
    with pytest.raises(PeerUnreachable, match="special: it has no url"):
        await cluster.node("special").store.present(KEY)
    await served.settle()
    await served.close()


def test_nodes_are_chosen_once_after_the_bypass(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, path_node("n1", "../n1", U1), GATEWAY_B)
    served = cluster.serve()
    assert not cluster.received()
    served.bypass((B,))
    assert cluster.received()
    assert [node.name for node in cluster.select()] == ["n1"]
    assert cluster.select() == cluster.select()


def test_a_bypass_that_comes_late_is_ignored(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, path_node("n1", "../n1", U1), GATEWAY_B)
    served = cluster.serve()
    found = cluster.select()
    assert [node.name for node in found] == ["n1", "B-mine"]
    served.bypass((B,))
    assert not cluster.received()
    assert cluster.select() == found


def test_costs_are_asked_of_commands(tmp_path: Path) -> None:
    dear = path_node("n1", "../n1", U1)
    dear["remote_n1_annex-cost-command"] = "echo 300"
    cluster = cluster_at(tmp_path, dear, path_node("n2", "../n2", U2))
    cluster.serve()
    found = [(node.name, node.cost) for node in cluster.select()]
    assert found == [("n2", 100.0), ("n1", 300.0)]


# -- over the network --------------------------------------------------------------------


@attrs.define
class Network:
    """Stands in for ssh: each connection is to a server in memory.

    ``said`` is what the servers heard of whom to bypass.
    """

    nursery: trio.Nursery
    connected: list[tuple[str, SshHost, UUID]] = attrs.field(factory=list)
    said: list[tuple[UUID, ...]] = attrs.field(factory=list)
    closed: list[str] = attrs.field(factory=list)
    breaks: bool = False

    def connector(
        self,
        gateway: Repository,
        name: str,
        host: SshHost,
        uuid: UUID,
        *,
        lasting: bool,
    ) -> Connector:
        assert not lasting, "nobody keeps connections here"
        return Connector(self, name, host, uuid)


@attrs.define
class Connector:
    network: Network
    name: str
    host: SshHost
    uuid: UUID

    async def open(self) -> Link:
        ours, theirs = link_pair(pipes=True)
        self.network.connected.append((self.name, self.host, self.uuid))
        self.network.nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, link: Link) -> None:
        channel = Channel(link, Role.SERVER)
        heard = self.network.said.append
        session = Session(channel, MemoryStore(), allow, bypass=heard)
        await converse(session, self.uuid)
        link.close()

    async def aclose(self) -> None:
        self.network.closed.append(self.name)
        if self.network.breaks:
            raise OSError("the connection cannot be ended")


@trio_test
async def test_nodes_and_gateways_over_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = cluster_at(
        tmp_path,
        path_node("n1", "host:n1", U1),
        path_node("n2", "../gone", U2),
        GATEWAY_B,
    )
    async with trio.open_nursery() as nursery:
        network = Network(nursery, breaks=True)
        monkeypatch.setattr(serve_nodes, "SshConnector", network.connector)
        served = cluster.serve()
        n1, far = cluster.node("n1"), cluster.node("B-mine")
        assert (far.uuid, far.gateway, far.cost) == (C, True, 200.0)
        assert isinstance(n1.store, PeerStore) and n1.store.newest == 4
        for node in (n1, far):
            assert not await node.store.present(KEY)
        assert network.connected == [
            ("n1", SshHost("host", "n1"), U1),
            ("B", SshHost("b", "/srv"), C),
        ]
        assert network.said == [(U1, U2, A)]
        n2 = cluster.node("n2")
        n2.failure = PeerUnreachable(name="n2", detail="gone")
        assert not await far.store.present(KEY)
        assert network.said[1:] == [(U1, A)]
        await served.close()
    # That both fail to close keeps neither from it.
    assert sorted(network.closed) == ["B", "n1"]
