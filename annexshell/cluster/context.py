"""What all requests to one cluster share: its log, its locks, how long it waits."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Protocol

import attrs
import trio

from annexshell.cluster.node import Node
from annexshell.cluster.placing import Everywhere, Placer
from annexshell.cluster.plan import Unwanted
from annexshell.errors import RequestError
from annexshell.model.duration import time_to_hash
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.proxy.store import Locations
from annexshell.repository.busy import Busy
from annexshell.repository.config import GitConfig
from annexshell.repository.keylocks import KeyLocks
from annexshell.repository.timeouts import (
    NODE,
    SLOW_NODE,
    STALL,
    node_timeout,
    slow_node_timeout,
    stall_timeout,
)

log = logging.getLogger("annexshell.cluster")

_LEAST = 1.0
"""Seconds that a node is waited for however often it was too slow."""


def never() -> bool:
    """A session with a client that is no gateway."""
    return False


def boot_clock() -> float:
    """Seconds since boot, suspended time included (spec 01 §5.5)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ClusterLocations(Locations, Protocol):
    """The gateway's location log, and what it knows of clusters. Everything blocks.

    Reading takes less than a thread would, and nobody else has anything to do meanwhile.
    So does writing where nobody else has the lock; else it waits in a thread.
    """

    def locations(self, key: Key) -> frozenset[UUID]:
        """The repositories said to have the content, and clusters of them."""

    def holders(self, key: Key) -> frozenset[UUID]:
        """The repositories alone that are said to have it."""

    def clusters(self) -> dict[UUID, frozenset[UUID]]:
        """Each cluster's living nodes."""

    def record_all(self, key: Key, found: Mapping[UUID, bool]) -> bool:
        """`record` for several repositories at once."""


@attrs.frozen
class Patience:
    """Seconds: the settings ``annexshell.node-timeout``, ``stall-timeout`` and
    ``slow-node-timeout``, and what follows from them."""

    node: float = NODE
    stall: float = STALL
    slow: float = SLOW_NODE

    @classmethod
    def of(cls, config: GitConfig) -> Patience:
        return cls(
            node_timeout(config), stall_timeout(config), slow_node_timeout(config)
        )

    def last(self, key: Key) -> float:
        """For the nodes that have not stored ``key`` when the first one has."""
        return self.node + time_to_hash(key.size or 0)

    def removal(self, key: Key) -> float:
        """For an upload of ``key`` to be stored, before it can be removed."""
        return 5 * self.node + time_to_hash(key.size or 0)

    @property
    def upload(self) -> float:
        """For a removal to be done, before an upload can be stored: it may be a trash bin
        that is filled, on every node."""
        return 10 * self.node


@attrs.define(eq=False)
class Context:
    """The cluster ``uuid``, called ``name`` here, for one session.

    ``relayed`` tells whether the client is another gateway of it, by its BYPASS, and
    ``bypassed`` which repositories that asks by itself. With ``prompt`` its nodes are
    chosen without asking programs what they cost.
    ``clock`` is the one that removals are timed with, in seconds, and ``client`` the
    client's uuid, by its own word.
    """

    uuid: UUID
    name: str
    locations: ClusterLocations
    locks: KeyLocks
    busy: Busy
    patience: Patience = Patience()
    relayed: Callable[[], bool] = never
    placer: Placer = attrs.field(factory=Everywhere)
    clock: Callable[[], float] = boot_clock
    client: UUID = UUID(b"")
    unwanted: Unwanted = Unwanted.ALL
    bypassed: Callable[[], Collection[UUID]] = tuple
    prompt: bool = False
    _slow: dict[str, int] = attrs.field(init=False, factory=dict)
    _failed: tuple[Key | None, frozenset[str]] = attrs.field(
        init=False, default=(None, frozenset())
    )

    @property
    def sender(self) -> UUID:
        """The repository that content comes from; empty if a gateway relays it.

        It may be a node as well. What it has is no copy that it may drop its own for.
        """
        return UUID(b"") if self.relayed() else self.client

    @property
    def avoided(self) -> frozenset[UUID]:
        """Repositories that content need not be brought to by another gateway."""
        return frozenset([self.sender, *self.bypassed()])

    def holders(self, key: Key) -> frozenset[UUID]:
        """Who has the content, by the log as it is now."""
        return self.locations.locations(key)

    def living(self) -> frozenset[UUID]:
        """The nodes of this cluster by cluster.log, without those that are dead."""
        known = self.locations.clusters()
        return known.get(self.uuid, frozenset())

    def described(self) -> frozenset[UUID]:
        """The repositories that are known here at all."""
        return frozenset(self.locations.descriptions())

    async def record(self, key: Key, uuids: Iterable[UUID], present: bool) -> None:
        """Journal what nodes did, in one write; also if the client is leaving.

        The content is where it is: a log that cannot be written does not change what the
        client is told (spec 01 §8.5).
        """
        found = dict.fromkeys(uuids, present)
        if not found:
            return
        with trio.CancelScope(shield=True):
            try:
                if not self.locations.record_at_once(key, found):
                    write = partial(self.locations.record_all, key, found)
                    await trio.to_thread.run_sync(write)
            except RequestError as error:
                log.error("%s; run git annex fsck --from each node", error)

    # -- slow nodes ----------------------------------------------------------------------

    def slowness(self, node: Node) -> float:
        """Seconds for which this node may hold up the others."""
        halvings = self._slow.get(node.name, 0)
        return max(_LEAST, math.ldexp(self.patience.slow, -halvings))

    def was_slow(self, node: Node) -> None:
        self._slow[node.name] = self._slow.get(node.name, 0) + 1

    def kept_up(self, node: Node) -> None:
        self._slow.pop(node.name, None)

    # -- nodes that take no content ------------------------------------------------------

    def failed(self, key: Key) -> frozenset[str]:
        """The names of nodes that let the last upload fail, if that was of ``key``."""
        return self._failed[1] if self._failed[0] == key else frozenset()

    def has_failed(self, key: Key, names: Iterable[str]) -> None:
        """Note that these nodes would take the content, and then did not.

        git-annex-shell asks for bytes although its disk is full. Clients try again.
        """
        self._failed = key, self.failed(key).union(names)
