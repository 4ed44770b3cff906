"""A cluster in memory, or of whatever Stores a test wants for nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from annexshell.cluster.context import Patience, boot_clock, wants_all
from annexshell.cluster.node import Node
from annexshell.cluster.store import ClusterStore
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.busy import Busy
from annexshell.repository.keylocks import KeyLocks
from annexshell.store import Store
from tests.support.locations import MemoryLocations

C = UUID(b"acccccc1-1111-4111-8111-111111111111")
N1 = UUID(b"11111111-1111-4111-8111-111111111111")
N2 = UUID(b"22222222-1111-4111-8111-111111111111")
N3 = UUID(b"33333333-1111-4111-8111-111111111111")
FAR = UUID(b"ffffffff-1111-4111-8111-111111111111")
"""A node of the cluster that only another gateway reaches."""
OTHER = UUID(b"eeeeeeee-1111-4111-8111-111111111111")
"""A repository that is known, and no node of the cluster."""


Wants = Callable[[Node, Key, bytes], bool]


@attrs.define
class Cluster:
    """A cluster of ``nodes``; `session` makes the Store that a client talks to."""

    nodes: list[Node]
    locations: MemoryLocations
    locks: KeyLocks
    patience: Patience = Patience()
    wants: Wants = wants_all
    clock: Callable[[], float] = boot_clock
    relayed: bool = False

    def session(self) -> ClusterStore:
        """A session's Store, with nodes of its own that lead to the same places."""
        nodes = [attrs.evolve(node) for node in self.nodes]
        directory = self.locks.change_path(Key.parse(b"WORM--x")).rpartition("/")[0]
        return ClusterStore(
            C,
            "c",
            lambda: nodes,
            self.locations,
            self.locks,
            Busy(directory),
            patience=self.patience,
            relayed=lambda: self.relayed,
            wants=self.wants,
            clock=self.clock,
        )


def cluster_of(
    stores: Mapping[UUID, Store],
    directory: Path | str,
    *,
    gateway: Store | None = None,
    beyond: frozenset[UUID] = frozenset(),
) -> Cluster:
    """A cluster of ``stores``, and of another ``gateway`` that reaches those ``beyond``."""
    nodes = [Node(name_of(u), u, store) for u, store in stores.items()]
    if gateway is not None:
        nodes.append(Node("gateway", C, gateway, 200.1, gateway=True))
    members = frozenset(stores) | beyond
    locations = MemoryLocations(members | {OTHER, C}, nodes={C: members})
    return Cluster(nodes, locations, KeyLocks(f"{directory}/locks", str(directory)))


def name_of(uuid: UUID) -> str:
    """What the gateway calls a node of a test."""
    return {N1: "n1", N2: "n2", N3: "n3"}.get(uuid, uuid.decode())
