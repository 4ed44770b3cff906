"""What may be believed of what nodes say about others; pure (spec 01 §7.4, §8.4).

What is believed goes into the location log of every clone, and clients drop their copies
by it. So a node speaks for itself, and another gateway for nodes of the cluster alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from annexshell.cluster.node import Node
from annexshell.model.ids import UUID
from annexshell.proxy.store import known_only


def of_a_node(
    others: Iterable[UUID], described: Collection[UUID], direct: Collection[UUID]
) -> tuple[UUID, ...]:
    """Those of ``others`` that a direct node may name besides itself: repositories in
    uuid.log, unless they are ``direct`` nodes, which speak for themselves."""
    return tuple(u for u in known_only(others, described) if u not in direct)


def of_a_gateway(
    others: Iterable[UUID], living: Collection[UUID], answered: Collection[UUID] = ()
) -> tuple[UUID, ...]:
    """Those that another gateway may name: ``living`` nodes of the cluster, less those
    that ``answered`` us themselves."""
    return tuple(u for u in known_only(others, living) if u not in answered)


def named(node: Node) -> tuple[UUID, ...]:
    """The repository that a node's own success is about; a cluster is none."""
    return () if node.gateway else (node.uuid,)


def merged(
    parts: Iterable[Iterable[UUID]], without: Collection[UUID]
) -> tuple[UUID, ...]:
    """All uuids once, in order; the cluster itself is never named."""
    found = dict.fromkeys(uuid for part in parts for uuid in part)
    return tuple(uuid for uuid in found if uuid not in without)
