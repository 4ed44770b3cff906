"""Which nodes answer for a key, and in which order they are asked; pure (spec 01 §8.3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random

from annexshell.cluster.node import Node
from annexshell.model.ids import UUID

_Rank = tuple[bool, bool, bool, float]


def holders(
    nodes: Iterable[Node], listed: Collection[UUID], members: Collection[UUID]
) -> list[Node]:
    """Those of ``nodes`` that may have the content.

    ``listed`` is what the location log says, ``members`` the living nodes of the cluster.
    A node that is a gateway may reach those members that are not among ``nodes``.
    """
    nodes = list(nodes)
    direct = {node.uuid for node in nodes if not node.gateway}
    beyond = any(uuid in listed and uuid not in direct for uuid in members)
    return [n for n in nodes if (beyond if n.gateway else n.uuid in listed)]


def ordered(
    nodes: Sequence[Node],
    now: float,
    busy: Callable[[UUID], int],
    random: Random,
    doubted: Collection[Node] = (),
) -> list[Node]:
    """The order in which to ask: by cost, then how busy they are, then by chance.

    Those that are ``doubted`` come after the others, then those that were slow to answer,
    and those missing at ``now`` last.
    ``busy`` tells the transfers under way; it is asked only where that decides.
    """
    if len(nodes) < 2:
        return list(nodes)
    ranks: list[_Rank] = [
        (now < n.missing_until, now < n.late_until, n in doubted, n.cost) for n in nodes
    ]
    places = [
        (mine, busy(node.uuid) if ranks.count(mine) > 1 else 0, random.random(), turn)
        for turn, (mine, node) in enumerate(zip(ranks, nodes, strict=True))
    ]
    return [nodes[turn] for *_, turn in sorted(places)]
