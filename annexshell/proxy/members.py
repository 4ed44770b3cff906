"""Who is a node of a cluster in this session; pure (spec 01 §8.2).

Two things have to agree for a node: the gateway's git config, which its operator writes,
and cluster.log, which clients can write too. A gateway of the same cluster is a node that
stands for all of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import attrs

from annexshell.errors import printable
from annexshell.model.ids import UUID, is_cluster_uuid, is_safe_uuid
from annexshell.proxy.instantiated import Remote, remotes_of
from annexshell.proxy.routes import (
    Published,
    clusters_of_node,
    offers_cluster,
)
from annexshell.repository.config import GitConfig

log = logging.getLogger("annexshell.proxy")

MOST_BYPASSED = 400
"""Of more uuids than so many in a BYPASS nobody knows what they are; no gateway is asked."""
_LONGEST_BYPASS = 30_000
"""Bytes of a BYPASS of ours; a line may have 32767."""

Price = Callable[[Sequence[Remote]], Sequence[float]]


@attrs.frozen
class Member:
    """A node: the repository ``uuid``, reached as the remote ``via`` of git's config is.

    ``proxied_by`` is the uuid of the other gateway through which it is the same cluster
    (spec 01 §8.2 b); ``uuid`` is the cluster's then.
    """

    name: str
    uuid: UUID
    cost: float
    via: str
    proxied_by: UUID | None = None
    hops: int = 1

    @property
    def gateway(self) -> bool:
        """Whether it is another gateway of the same cluster."""
        return self.proxied_by is not None


@attrs.frozen
class Cluster:
    """The cluster ``uuid`` as the repository ``gateway`` knows it."""

    uuid: UUID
    gateway: UUID
    config: GitConfig
    published: Published

    def members(self, received: Sequence[UUID], price: Price) -> tuple[Member, ...]:
        """The nodes that are not in the BYPASS that was ``received``, cheapest first.

        Where several remotes lead to one repository, the cheapest does.
        """
        known = self.published
        remotes = remotes_of(self.config, known.lines, known.clusters)
        found = list(self._found(remotes, received))
        members = [
            Member(r.name, r.uuid, cost, r.via, r.proxied_by, r.hops)
            for r, cost in zip(found, price(found), strict=True)
        ]
        members.sort(key=lambda m: (m.cost, m.gateway, m.hops, m.name))
        return tuple(_once_each(members))

    def _found(
        self, remotes: Sequence[Remote], received: Sequence[UUID]
    ) -> Iterator[Remote]:
        bypassed = frozenset(received[:MOST_BYPASSED])
        gateways = self._gateways(remotes, bypassed, len(received))
        for remote in remotes:
            names = remote.setting(self.config, "cluster-node")
            if names is not None:
                if self._is_node(remote, names) and not self._is_left_out(
                    remote.uuid, bypassed
                ):
                    yield remote
            elif remote.uuid == self.uuid and remote.proxied_by in gateways:
                yield remote

    def _gateways(
        self, remotes: Sequence[Remote], bypassed: Collection[UUID], length: int
    ) -> frozenset[UUID]:
        """The other gateways that may be asked.

        None where the request was here before: that happens only if gateways know each
        other by wrong uuids, and would go on for ever.
        """
        again = self.gateway in bypassed and self.gateway not in self._living
        if again or length > MOST_BYPASSED:
            return frozenset()
        offering = offers_cluster(self.config, remotes, self.uuid)
        return offering.difference(bypassed, {self.gateway})

    @property
    def _living(self) -> frozenset[UUID]:
        return self.published.clusters.get(self.uuid, frozenset())

    def _is_node(self, remote: Remote, names: str) -> bool:
        if is_cluster_uuid(remote.uuid):
            # The log cannot say that it has something: nobody would find that again.
            return False
        own = clusters_of_node(self.config, names)
        return remote.uuid in self._living and self.uuid in own

    def _is_left_out(self, node: UUID, bypassed: Collection[UUID]) -> bool:
        """Whether whoever asks us asks the node as well.

        A gateway is listed as what it is. Only if it is a node of its own does it ask
        itself too. Who lists us to ourselves can only mean the node.
        """
        if node not in bypassed:
            return False
        if node == self.gateway or not self._is_gateway(node):
            return True
        return self._proxies(node, node)

    def _is_gateway(self, uuid: UUID) -> bool:
        """Whether it says it is a gateway of this cluster, used here or not."""
        return self._proxies(uuid, self.uuid)

    def _proxies(self, gateway: UUID, uuid: UUID) -> bool:
        lines = self.published.lines
        return any(entry.uuid == uuid for entry in lines.get(gateway, ()))

    def bypass(
        self, asked: Member, others: Iterable[Member], received: Sequence[UUID]
    ) -> tuple[UUID, ...]:
        """What another gateway that we ask is not to ask, sorted.

        ``others`` are our nodes but those that are known to be out of our reach: the
        gateway may have a way to them.
        """
        others = [other for other in others if other != asked]
        gateways = [o.proxied_by for o in others if o.proxied_by is not None]
        used = {*gateways, asked.proxied_by}
        # A gateway that is only a node to us must stay one for others.
        nodes = [
            o.uuid
            for o in others
            if not o.gateway and (o.uuid in used or not self._is_gateway(o.uuid))
        ]
        safe = [uuid for uuid in received if is_safe_uuid(uuid)]
        return _fitting((self.gateway, *gateways, *safe, *nodes))


def _fitting(uuids: Sequence[UUID]) -> tuple[UUID, ...]:
    """As many as a line can hold; of what comes last a node may be asked twice."""
    room, kept = _LONGEST_BYPASS, []
    for uuid in dict.fromkeys(uuids):
        room -= len(uuid) + 1
        if room < 0:
            break
        kept.append(uuid)
    return tuple(sorted(kept))


def _once_each(members: Iterable[Member]) -> Iterator[Member]:
    seen: dict[UUID, str] = {}
    for member in members:
        place = member.proxied_by or member.uuid
        if member.gateway:
            place = UUID(b"gateway " + place)
        first = seen.setdefault(place, member.name)
        if first == member.name:
            yield member
        else:
            log.debug(
                "%s is the same repository as %s, and is not used",
                printable(member.name),
                printable(first),
            )
