"""cluster.log: the nodes of clusters, and clusters as holders of content (spec 03 §5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from annexshell.logs.mapped import Entry, Form, parse_map, with_value
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID, is_cluster_uuid, is_safe_uuid

Clusters = Mapping[UUID, frozenset[UUID]]


def clusters(content: bytes) -> dict[UUID, frozenset[UUID]]:
    """The nodes of each cluster, dead ones included; a list may be empty."""
    return {
        UUID(field): frozenset(_nodes(entry.value) or ())
        for field, entry in parse_map(content, Form.NEW, _readable).items()
    }


def with_nodes(
    content: bytes, cluster: UUID, nodes: Collection[UUID], candidate: Clock
) -> bytes | None:
    """cluster.log with new nodes for the cluster, None if it has those already.

    No nodes stay as a line. Raises ValueError for what is no uuid.
    """
    if not all(is_safe_uuid(node) for node in nodes):
        raise ValueError("cluster.log cannot hold this uuid")
    value = b" ".join(sorted(set(nodes)))
    return with_value(content, Form.NEW, cluster, value, candidate, _readable)


def without_dead(
    known: Clusters, dead: Collection[UUID]
) -> dict[UUID, frozenset[UUID]]:
    """The clusters with only those nodes that are not dead."""
    return {uuid: nodes.difference(dead) for uuid, nodes in known.items()}


def with_clusters(holders: frozenset[UUID], living: Clusters) -> frozenset[UUID]:
    """``holders``, and every cluster that has one of them as a node.

    ``living`` has no dead nodes. One level only: a cluster never counts as a node.
    """
    return holders.union(
        uuid for uuid, nodes in living.items() if not nodes.isdisjoint(holders)
    )


def _readable(entry: Entry) -> bool:
    return is_cluster_uuid(UUID(entry.field)) and _nodes(entry.value) is not None


def _nodes(value: bytes) -> list[UUID] | None:
    if not value:
        return []
    found = [UUID(node) for node in value.removesuffix(b" ").split(b" ")]
    return found if all(found) else None
