"""Which nodes are asked to store a key; pure (spec 01 §8.3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from annexshell.cluster.node import Node
from annexshell.model.ids import UUID


def candidates(
    nodes: Sequence[Node],
    holders: Collection[UUID],
    living: Collection[UUID],
    wanted: Callable[[Node], bool],
) -> list[Node]:
    """The nodes to ask first.

    Those that the log does not list, of these those that want the key. Where no candidate
    wants it, all candidates; where there is none, all nodes. Another gateway lacks the key
    if some ``living`` node of the cluster that only it may reach does.
    """
    direct = {node.uuid for node in nodes if not node.gateway}
    beyond = {uuid for uuid in living if uuid not in direct and uuid not in holders}
    lacking = [
        node for node in nodes if (beyond if node.gateway else node.uuid not in holders)
    ]
    return [node for node in lacking if wanted(node)] or lacking or list(nodes)
