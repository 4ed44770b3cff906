"""Reading from a cluster: from whichever node has the content (spec 01 §8.3, §8.7).

How one payload comes from several nodes is in `failover`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol

import trio

from annexshell.cluster import choice
from annexshell.cluster.errors import NotKept
from annexshell.cluster.failover import Delivery
from annexshell.cluster.health import (
    NODE_FAILURES,
    answered,
    asking,
    is_missing,
    named,
)
from annexshell.cluster.node import Node
from annexshell.cluster.racing import Race
from annexshell.errors import (
    NotOnReachableNodes,
    PeerFailed,
    PeerRefused,
    PeerUnreachable,
    RequestError,
)
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity, nothing
from annexshell.repository.busy import Busy
from annexshell.repository.timeouts import NODE
from annexshell.store import at_once

log = logging.getLogger("annexshell.cluster")

_MOST_DOUBTED = 1000
"""Keys whose nodes are remembered as doubtful; a client may ask for any number."""


Counting = Callable[[UUID], int]


def _idle(uuid: UUID) -> int:
    """Who is to be asked for a word only need not be spared, nor looked after."""
    return 0


class Listed(Protocol):
    """The gateway's location log, to be read; both block."""

    def holders(self, key: Key) -> frozenset[UUID]:
        """The repositories that have the content, without clusters."""

    def clusters(self) -> dict[UUID, frozenset[UUID]]:
        """The living nodes of each cluster."""


class Correct(Protocol):
    """What to do where the location log seems to be wrong."""

    async def __call__(self, node: Node, key: Key) -> None:
        """``node`` is listed, and said that the content is absent.

        It is to be asked again under the key's change lock, and recorded absent if it says
        so again. A client waits meanwhile: where the lock is not to be had, somebody is
        changing just that, and nothing is to be done. Raises RequestError.
        """


class Reader:
    """``nodes`` of ``cluster``, of which ``locations`` tells who has what.

    ``patience`` is how many seconds one may be silent where another can go on.
    """

    def __init__(
        self,
        cluster: UUID,
        nodes: Sequence[Node],
        locations: Listed,
        busy: Busy,
        correct: Correct,
        random: Random | None = None,
        patience: float = NODE,
    ) -> None:
        self._cluster = cluster
        self._nodes = nodes
        self._locations = locations
        self._correct = correct
        self._random = random or Random()
        self._doubted: dict[Key, set[Node]] = {}
        self._busy = busy
        self._patience = patience
        # Looking up who has it would be in vain for nodes that are all far away.
        self._near = any(hasattr(node.store, "present_at_once") for node in nodes)
        self._beyond = any(node.gateway for node in nodes)

    def ordered(self, key: Key, *, busy: Counting | None = None) -> list[Node]:
        """The nodes to ask for the content, best first. Raises BranchUnreadable.

        ``busy`` tells how much they have to do, by default the transfers under way.
        """
        listed, members = self._look_up(key)
        nodes = choice.holders(self._nodes, listed, members)
        doubted = self._doubted.get(key, ())
        now = trio.current_time()
        return choice.ordered(
            nodes, now, busy or self._busy.count, self._random, doubted
        )

    def present_at_once(self, key: Key) -> bool | None:
        """See `at_once`: where the first node to be asked is at hand, and has it."""
        nodes = self.ordered(key, busy=_idle) if self._near else []
        node = nodes[0] if nodes else None
        if node is None or is_missing(node):
            return None
        try:
            found = at_once(node.store)(key)
        except NODE_FAILURES:
            return None  # It is met again, and told, where all of them are asked.
        if not found:
            return None
        answered(node)
        return True

    def _look_up(self, key: Key) -> tuple[frozenset[UUID], frozenset[UUID]]:
        listed = self._locations.holders(key)
        if not self._beyond:
            return listed, frozenset()
        return listed, self._locations.clusters().get(self._cluster, frozenset())

    async def present(self, key: Key) -> bool:
        """See `Store.present`: False only if every node that may have it was asked.

        Raises NotOnReachableNodes, BranchUnreadable.
        """
        causes: list[RequestError] = []
        stale: list[Node] = []

        async def ask(node: Node) -> bool | None:
            try:
                with asking(node):
                    found = await node.store.present(key)
            except RequestError as error:
                causes.append(named(node, error))
                return None
            if not found and not node.gateway:
                stale.append(node)
            return found or None

        found = await Race(ask).run(self.ordered(key, busy=_idle))
        await self._mend(key, stale)
        if causes and not found:
            raise _nowhere(key, causes)
        return bool(found)

    async def _mend(self, key: Key, stale: list[Node]) -> None:
        for node in stale:
            # The client has its answer, whatever becomes of the log.
            try:
                await self._correct(node, key)
            except (PeerFailed, PeerRefused, PeerUnreachable) as error:
                log.debug("not corrected: %s", error)  # told when it was asked
            except RequestError as error:
                log.warning("%s", error)

    @asynccontextmanager
    async def get(self, key: Key, offset: int, name: bytes) -> AsyncIterator[Payload]:
        """See `Store.get`. Raises NotOnReachableNodes, BranchUnreadable."""
        nodes = self.ordered(key)
        delivery = Delivery(self._busy, key, offset, name, nodes, self._patience)
        payload = await delivery.begin()
        if payload is None:
            if delivery.causes:
                raise _nowhere(key, delivery.causes)
            yield nothing(Validity.INVALID)
            return
        try:
            yield payload
        except BaseException as error:
            await delivery.end(error)
            raise
        await delivery.end()
        if delivery.refused:
            self.doubt(key, delivery.refused)

    def doubt(self, key: Key, nodes: Sequence[Node]) -> None:
        """The client called what these delivered invalid: ask others first for the key."""
        for node in nodes:
            log.warning("%s", NotKept(name=node.name, key=key))
        self._doubted.setdefault(key, set()).update(nodes)
        while len(self._doubted) > _MOST_DOUBTED:
            self._doubted.pop(next(iter(self._doubted)))


def _nowhere(key: Key, causes: list[RequestError]) -> NotOnReachableNodes:
    detail = "; ".join(str(cause) for cause in causes)
    return NotOnReachableNodes(key=key, detail=detail)
