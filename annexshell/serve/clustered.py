"""A cluster, made ready to serve and to be closed (spec 01 §8, §9)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

import attrs

from annexshell.cluster.context import Context, Patience
from annexshell.cluster.node import Node
from annexshell.cluster.plan import Unwanted
from annexshell.cluster.store import ClusterStore
from annexshell.errors import PeerUnreachable
from annexshell.model.ids import UUID
from annexshell.protocol.messages import NEWEST_VERSION
from annexshell.proxy.costs import ask_commands, asks_programs, prices
from annexshell.proxy.members import Cluster, Member
from annexshell.proxy.routes import ClusterRoute, Published
from annexshell.remotes.lazy import LazyStore
from annexshell.remotes.recipes import LocalPath, recipe_for
from annexshell.repository.busy import Busy
from annexshell.repository.keylocks import KeyLocks
from annexshell.serve.nodes import LocalNode, Nodes
from annexshell.serve.stores import Served
from annexshell.store import Store

_KNOWS_BYPASS = 2
"""Gateways that speak an older version would call each other for ever."""

Select = Callable[[], Sequence[Node]]
Received = Callable[[], Collection[UUID]]
Build = Callable[[Nodes, ClusterRoute, Select, Received], Store]
"""Makes the cluster's Store; `Received` tells what a gateway that asks us asks by itself,
nothing if none does."""


@attrs.define
class Selection:
    """The nodes of one session, chosen at its first request."""

    nodes: Nodes
    cluster: Cluster
    received: tuple[UUID, ...] = ()
    chosen: dict[Member, Node] | None = None

    def bypass(self, uuids: tuple[UUID, ...]) -> None:
        """The client is a gateway, which asks these by itself. Only the first one counts."""
        if self.chosen is None and not self.received:
            self.received = uuids

    def select(self) -> list[Node]:
        """The nodes, cheapest first. Commands that tell costs are run."""
        if self.chosen is None:
            gateway = self.nodes.gateway
            run = partial(ask_commands, cwd=gateway.path)
            price = partial(prices, gateway.config, run=run)
            members = self.cluster.members(self.received, price)
            self.chosen = {member: self._node(member) for member in members}
        return list(self.chosen.values())

    def _node(self, member: Member) -> Node:
        name, uuid, store = member.name, member.uuid, self._store(member)
        node = Node(name, uuid, store, member.cost, member.gateway)
        if isinstance(store, LocalNode):
            node.room, node.prompt = store.room, store.prompt
        return node

    def _store(self, member: Member) -> Store:
        try:
            recipe = recipe_for(self.nodes.gateway.config, member.via)
        except PeerUnreachable as error:
            return LazyStore(partial(_fail, error))
        if isinstance(recipe, LocalPath):
            return self.nodes.by_path(member.name, member.uuid, recipe.path)
        peer = self.nodes.by_ssh(
            member.name,
            member.via,
            member.uuid,
            recipe,
            bypass=partial(self._bypass_for, member) if member.gateway else tuple,
            least=_KNOWS_BYPASS if member.gateway else 0,
        )
        # Whatever our client speaks: the cluster translates.
        peer.newest = NEWEST_VERSION
        return peer

    def _bypass_for(self, member: Member) -> tuple[UUID, ...]:
        chosen = self.chosen or {}
        within_reach = (m for m, node in chosen.items() if node.failure is None)
        return self.cluster.bypass(member, within_reach, self.received)


def _fail(error: PeerUnreachable) -> Store:
    raise error


def cluster_store(
    nodes: Nodes, route: ClusterRoute, select: Select, received: Received
) -> Store:
    """The Store over the nodes that ``select`` returns."""
    gateway = nodes.gateway
    return ClusterStore(
        Context(
            route.uuid,
            route.name,
            nodes.branch,
            KeyLocks.of(gateway),
            Busy.of(gateway),
            patience=Patience.of(gateway.config),
            relayed=lambda: bool(received()),
            placer=nodes.placer(),
            client=nodes.client,
            unwanted=Unwanted.of(gateway.config),
            bypassed=received,
            prompt=not asks_programs(gateway.config),
        ),
        select,
    )


def clustered(
    nodes: Nodes,
    route: ClusterRoute,
    published: Published,
    build: Build = cluster_store,
) -> Served:
    """The cluster that `route` found."""
    gateway = nodes.gateway
    cluster = Cluster(route.uuid, gateway.uuid, gateway.config, published)
    selection = Selection(nodes, cluster)
    store = build(nodes, route, selection.select, lambda: selection.received)
    return Served(store, nodes.settle, nodes.aclose, bypass=selection.bypass)
