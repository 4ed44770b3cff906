"""ClusterStore: a Store made of Stores (spec 01 §8).

It holds what the requests of one session share; what they do is in `reading`, `storing`
and `removing`. Nobody can lock content in a cluster, as in git-annex: a client counts the
copies that its nodes lock themselves.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import trio

from annexshell.cluster import removing, storing
from annexshell.cluster.context import Context
from annexshell.cluster.errors import NoNodes
from annexshell.cluster.health import asking
from annexshell.cluster.node import Node
from annexshell.cluster.reading import Reader
from annexshell.errors import StorageFailed
from annexshell.model.key import Key
from annexshell.model.payload import Payload
from annexshell.store import AlreadyHave, HeldLock, Intake, Outcome

_UNLOCKABLE = nullcontext(None)


class ClusterStore:
    """The cluster of ``context``, for one session.

    ``select`` gives the nodes; it is called once, at the first request that needs them,
    since BYPASS may come before it. What they hold open, and the placer of the context, is
    closed by whoever made it.
    """

    def __init__(self, context: Context, select: Callable[[], Sequence[Node]]) -> None:
        self._context = context
        self._select = select
        self._reader: Reader | None = None
        self._nodes: Sequence[Node] | None = None

    async def _selected(self) -> Sequence[Node]:
        if self._nodes is None:
            if self._context.prompt:
                self._nodes = self._select()
            else:  # commands are run that tell what nodes cost
                self._nodes = await trio.to_thread.run_sync(self._select)
        return self._nodes

    async def _reading(self) -> Reader:
        nodes, context = await self._selected(), self._context
        if self._reader is None:
            self._reader = Reader(
                context.uuid,
                nodes,
                context.locations,
                context.busy,
                self._correct,
                patience=context.patience.node,
            )
        return self._reader

    def present_at_once(self, key: Key) -> bool | None:
        reader = self._reader
        return None if reader is None else reader.present_at_once(key)

    async def present(self, key: Key) -> bool:
        return await (await self._reading()).present(key)

    def lock(self, key: Key) -> AbstractAsyncContextManager[HeldLock | None]:
        return _UNLOCKABLE

    async def timestamp(self) -> int:
        return math.floor(self._context.clock())

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        nodes = await self._selected()
        return await removing.remove(self._context, nodes, key, before)

    @asynccontextmanager
    async def get(self, key: Key, offset: int, name: bytes) -> AsyncIterator[Payload]:
        async with (await self._reading()).get(key, offset, name) as payload:
            yield payload

    @asynccontextmanager
    async def put(self, key: Key, name: bytes) -> AsyncIterator[Intake | AlreadyHave]:
        """See `Store.put`. Raises NoNodes: it is nowhere then, whatever the log says."""
        sender = self._context.sender
        nodes = [node for node in await self._selected() if node.uuid != sender]
        if not nodes:
            raise NoNodes(name=self._context.name)
        async with storing.put(self._context, nodes, key, name) as intake:
            yield intake

    async def _correct(self, node: Node, key: Key) -> None:
        """See `reading.Correct`."""
        try:
            lock = self._context.locks.try_change(key)
        except StorageFailed:
            if self._context.locks.lockable:
                raise
            return
        if lock is None:
            return
        with lock, asking(node):
            if not await node.store.present(key):
                await self._context.record(key, [node.uuid], False)
