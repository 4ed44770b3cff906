"""Which nodes are asked to store a key, and in which order; pure (spec 01 §8.3, 04 §11).

The plan is made from one view: nothing in it depends on what was decided before for
another node. It is more careful than git-annex in three things. What is placed where it is
wanted is not copied anywhere by a client that offers it again. One node that is down is no
reason to store on all others. And who has no room is asked last, not together with all.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache

import attrs

from annexshell.cluster.node import Node
from annexshell.cluster.placing import View
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.config import GitConfig

log = logging.getLogger("annexshell.cluster")

_SETTING = "annexshell.unwanted"


class Unwanted(Enum):
    """Who stores what no node wants and none has."""

    ALL = "all"
    ONE = "one"

    @classmethod
    def of(cls, config: GitConfig) -> Unwanted:
        """``annexshell.unwanted``; as git-annex does it, if that says nothing known."""
        value = config.get(_SETTING)
        if value is None:
            return cls.ALL
        try:
            return cls(value.lower())
        except ValueError:
            log.warning("%s is neither all nor one (%r): using all", _SETTING, value)
            return cls.ALL


@attrs.frozen
class Known:
    """The cluster when a key is to be stored: ``nodes`` that can be asked, ``holders`` by
    the log, and the ``living`` nodes of the cluster, as far as others may reach them.

    ``rooms`` has free bytes of the disks of nodes, None or nothing where that is unknown.
    Nodes whose names are in ``failed`` count as full: they did not take it just now.
    The gateway that asks us, if one does, may ask those ``elsewhere`` by itself.
    """

    nodes: Sequence[Node]
    holders: Collection[UUID]
    living: Collection[UUID]
    rooms: Mapping[str, int | None] = attrs.field(factory=dict)
    unwanted: Unwanted = Unwanted.ALL
    failed: Collection[str] = ()
    elsewhere: Collection[UUID] = ()

    def reached(self, node: Node) -> frozenset[UUID]:
        """What is stored in by asking ``node``; a gateway's are those only it may reach."""
        if not node.gateway:
            return frozenset([node.uuid])
        direct = (other.uuid for other in self.nodes if not other.gateway)
        return frozenset(self.living).difference(direct)


@attrs.frozen
class Group:
    """Nodes to be asked at the same time.

    They are asked to store in the repositories ``uuids``; none are, where all are listed
    already. The ``keen`` ones want the key. Those that are ``full`` have no room, by all
    that is known.
    """

    nodes: tuple[Node, ...]
    uuids: frozenset[UUID] = frozenset()
    keen: tuple[Node, ...] = ()
    full: bool = False

    def chosen(self, offering: Sequence[Node], had: bool) -> Sequence[Node]:
        """Those of the ``offering`` ones that are to store it, if anybody ``had`` it or
        not: what is there already is brought only to where it is wanted."""
        keen = [node for node in offering if node in self.keen]
        return keen or ([] if had else offering)


@attrs.frozen
class Candidate:
    """What is known of one node; ``uuids`` are those that lack the key, behind a gateway
    several. Of these ``wanting`` want it, and ``taking`` want it and have room for it.

    ``free`` is the most that one of them has free, None if that is not known. ``keen``
    tells whether it is wanted there at all, also by those that have it.
    """

    node: Node
    uuids: frozenset[UUID]
    wanting: frozenset[UUID]
    taking: frozenset[UUID]
    able: bool
    free: int | None
    holding: bool
    keen: bool

    @property
    def order(self) -> tuple[float, float]:
        """Most free space first, then lowest cost; what is not known comes last."""
        return (math.inf if self.free is None else -self.free, self.node.cost)


def plan(key: Key, known: Known, view: View) -> list[Group]:
    """Groups to be asked one after the other, until one has the key or is to store it.

    Every node is in one group. Those come first that want the key, have room for it, and
    do not have it by the log; then those that have it by the log, since only they can say
    whether they do.
    """
    found = _candidates(key, known, view)
    # It may go by sizes that are not ours, or not know which of its gateways reaches whom.
    others = map(view.wants, known.elsewhere)
    first = [c for c in found if c.taking]
    holding = [c for c in found if c.holding and not c.taking]
    lacking = [c for c in found if c.uuids and not (c.taking or c.holding)]
    able = [c for c in lacking if c.able]
    # Wanting nodes, and listed ones, that do not answer now may be back soon.
    placed = holding or any(c.wanting for c in found) or any(others)
    groups = [
        _group(first, frozenset(uuid for c in first for uuid in c.taking)),
        _group(holding, frozenset()),
    ]
    if placed or known.unwanted is Unwanted.ONE:
        groups += [_group([c]) for c in sorted(able, key=lambda c: c.order)]
    else:
        groups.append(_group(able))
    groups.append(attrs.evolve(_group(c for c in lacking if not c.able), full=True))
    groups.append(_group(c for c in found if not (c.holding or c.uuids)))
    return [group for group in groups if group.nodes]


def _group(found: Iterable[Candidate], uuids: frozenset[UUID] | None = None) -> Group:
    found = list(found)
    if uuids is None:
        uuids = frozenset(uuid for c in found for uuid in c.uuids)
    keen = tuple(c.node for c in found if c.keen)
    return Group(tuple(c.node for c in found), uuids, keen)


def _candidates(key: Key, known: Known, view: View) -> list[Candidate]:
    # Several gateways may reach the same nodes.
    wants, left = cache(view.wants), cache(view.left)
    found = []
    for node in known.nodes:
        reached = known.reached(node)
        listed = reached.intersection(known.holders)
        lacking = reached - listed
        wanting = frozenset(filter(wants, lacking))
        room = known.rooms.get(node.name)
        spaces = {uuid: _least(room, left(uuid)) for uuid in lacking}
        full = {u for u, s in spaces.items() if s is not None and s < (key.size or 0)}
        if node.name in known.failed:
            full = set(lacking)
        found.append(
            Candidate(
                node,
                lacking,
                wanting,
                wanting - full,
                able=bool(lacking - full),
                free=max((s for s in spaces.values() if s is not None), default=None),
                holding=bool(listed),
                keen=bool(wanting) or any(map(wants, listed)),
            )
        )
    return found


def _least(*spaces: int | None) -> int | None:
    """The least of those that are known, None if none is."""
    return min((space for space in spaces if space is not None), default=None)
