"""Reading from a cluster: from whichever node has the content (spec 01 §8.3, §8.7).

One payload is given to the client, and the nodes stand behind it one after the other: where
one ends early, the next goes on at the same byte. What came from several nodes nobody has
seen whole, so nobody vouches for it, and the client verifies it.

A node's own payload is left in the order of things: told what became of it if its last byte
was delivered, dropped in the middle otherwise. So the context of a node's `Store.get` is
entered and left at different places, and may hold no cancel scope open between them.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from random import Random
from typing import Protocol

import attrs
import trio

from annexshell.cluster import choice
from annexshell.cluster.health import asking, failed, leaving, named
from annexshell.cluster.node import Node
from annexshell.errors import (
    NotOnReachableNodes,
    OtherLength,
    PayloadShort,
    PayloadStalled,
    PeerFailed,
    PeerRefused,
    PeerUnreachable,
    RequestError,
)
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity, nothing
from annexshell.repository.busy import Busy

log = logging.getLogger("annexshell.cluster")

_MOST_DOUBTED = 1000
"""Keys whose nodes are remembered as doubtful; a client may ask for any number."""


class Listed(Protocol):
    """The gateway's location log, to be read; both block."""

    def locations(self, key: Key) -> frozenset[UUID]:
        """The repositories that have the content, clusters among them."""

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
    """``nodes`` of ``cluster``, of which ``locations`` tells who has what."""

    def __init__(
        self,
        cluster: UUID,
        nodes: Sequence[Node],
        locations: Listed,
        busy: Busy,
        correct: Correct,
        random: Random | None = None,
    ) -> None:
        self._cluster = cluster
        self._nodes = nodes
        self._locations = locations
        self._correct = correct
        self._random = random or Random()
        self._doubted: dict[Key, set[Node]] = {}
        self.busy = busy

    async def ordered(self, key: Key) -> list[Node]:
        """The nodes to ask for the content, best first. Raises BranchUnreadable."""
        listed, members = await trio.to_thread.run_sync(self._look_up, key)
        nodes = choice.holders(self._nodes, listed, members)
        doubted = self._doubted.get(key, ())
        now = trio.current_time()
        return choice.ordered(nodes, now, self.busy.count, self._random, doubted)

    def _look_up(self, key: Key) -> tuple[frozenset[UUID], frozenset[UUID]]:
        listed = self._locations.locations(key)
        if not any(node.gateway for node in self._nodes):
            return listed, frozenset()
        return listed, self._locations.clusters().get(self._cluster, frozenset())

    async def present(self, key: Key) -> bool:
        """See `Store.present`: False only if every node that may have it was asked.

        Raises NotOnReachableNodes, BranchUnreadable.
        """
        found = False
        causes: list[RequestError] = []
        stale: list[Node] = []
        for node in await self.ordered(key):
            try:
                with asking(node):
                    found = await node.store.present(key)
            except RequestError as error:
                causes.append(named(node, error))
                continue
            if found:
                break
            if not node.gateway:
                stale.append(node)
        await self._mend(key, stale)
        if causes and not found:
            raise _nowhere(key, causes)
        return found

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
        reading = _Reading(self, key, offset, name, await self.ordered(key))
        payload = await reading.begin()
        try:
            yield payload
        except BaseException as error:
            await reading.end(error)
            raise
        await reading.end(None)

    def doubt(self, key: Key, nodes: Sequence[Node]) -> None:
        """The client called what these delivered invalid: ask others first for the key."""
        self._doubted.setdefault(key, set()).update(nodes)
        while len(self._doubted) > _MOST_DOUBTED:
            self._doubted.pop(next(iter(self._doubted)))


@attrs.define(eq=False)
class _Source:
    """One node's payload. ``said`` is its verdict where that is known beforehand.

    ``stalled`` is why it ended early, where it did not just end.
    """

    node: Node
    context: AbstractAsyncContextManager[Payload]
    payload: Payload
    said: Validity | None = None
    stalled: PayloadStalled | None = None
    slot: ExitStack = attrs.field(factory=ExitStack)

    async def look(self) -> None:
        """Have an empty payload explained: nothing is left, or nothing is there."""
        if self.payload.length:
            return
        try:
            with asking(self.node):
                self.said = await self.payload.verdict()
        except BaseException as error:
            await self.leave(error)
            raise

    def absent(self, key: Key, offset: int) -> bool:
        """Whether the node does not have the content."""
        if self.said is Validity.UNSAID:
            # Version 0 has one answer for both.
            return _due(key, offset) != 0
        return self.said is Validity.INVALID

    async def ready(self) -> None:
        """As the payload's own, which must be there; a stall is remembered."""
        assert self.payload.ready is not None
        try:
            await self.payload.ready()
        except PayloadStalled as error:
            self.stalled = error
            raise

    async def verdict(self) -> Validity:
        """What the node says of its bytes; nothing good if it cannot."""
        if self.said is not None:
            return self.said
        verdict = Validity.INVALID
        with leaving(self.node):
            verdict = await self.payload.verdict()
        return verdict

    async def leave(self, raised: BaseException | None = None) -> None:
        """Let the node go; ``raised`` is what ends its use, if anything does."""
        self.slot.close()
        with leaving(self.node):
            kind = None if raised is None else type(raised)
            trace = None if raised is None else raised.__traceback__
            await self.context.__aexit__(kind, raised, trace)


class _Reading:
    """One GET: the client's payload, and the nodes that are left to go on from."""

    def __init__(
        self, reader: Reader, key: Key, offset: int, name: bytes, left: list[Node]
    ) -> None:
        self._reader = reader
        self._key = key
        self._offset = offset
        self._name = name
        self._left = left
        self._causes: list[RequestError] = []
        self._source: _Source | None = None
        self._payload = nothing(Validity.INVALID)
        self._begun = 0
        """What remained when the source's first byte was due."""
        self._delivered: list[Node] = []
        self._switched = False

    async def begin(self) -> Payload:
        """The client's payload. Raises NotOnReachableNodes."""
        source = await self._next(self._offset, _due(self._key, self._offset))
        if source is None:
            if self._causes:
                raise _nowhere(self._key, self._causes)
            return self._payload
        self._payload = Payload(
            source.payload.length, verdict=self._verdict, substitute=self._substitute
        )
        self._follow(source)
        return self._payload

    async def _next(self, offset: int, due: int | None) -> _Source | None:
        """The next node's payload from ``offset`` on, of ``due`` bytes if that is known."""
        while self._left:
            node = self._left.pop(0)
            try:
                source = await self._open(node, offset)
            except RequestError as error:
                self._causes.append(named(node, error))
                continue
            length = source.payload.length
            if not source.absent(self._key, offset):
                if due is None or length == due:
                    return source
                wrong = OtherLength(length=length, due=due, key=self._key)
                self._causes.append(failed(node, wrong))
            await source.leave()
        return None

    async def _open(self, node: Node, offset: int) -> _Source:
        with asking(node):
            context = node.store.get(self._key, offset, self._name)
            source = _Source(node, context, await context.__aenter__())
        await source.look()
        return source

    def _follow(self, source: _Source) -> None:
        """Have the client's payload come from ``source``."""
        ours, theirs = self._payload, source.payload
        ours.descriptor, ours.prefix = theirs.descriptor, theirs.prefix
        ours.position, ours.source = theirs.position, theirs.source
        ours.ready = None if theirs.ready is None else source.ready
        source.slot.enter_context(self._reader.busy.transfer(source.node.uuid))
        self._source, self._begun = source, ours.remaining

    async def _substitute(self) -> bool:
        """See `Payload.substitute`."""
        ours = self._payload
        if self._source is not None:
            await self._give_up(self._source)
        delivered = ours.length - ours.remaining
        source = await self._next(self._offset + delivered, ours.remaining)
        if source is None:
            return False
        self._switched = True
        self._follow(source)
        return True

    async def _give_up(self, source: _Source) -> None:
        ours = self._payload
        short = PayloadShort(name=source.node.name, missing=ours.remaining)
        failed(source.node, source.stalled or short)
        # Its descriptor will be closed, and the number may become somebody else's.
        ours.descriptor, ours.prefix = -1, b""
        ours.position = ours.ready = None
        self._release(source)
        await source.leave()

    def _release(self, source: _Source) -> None:
        """What the client got is what the node delivered."""
        ours, theirs = self._payload, source.payload
        self._source = None
        theirs.remaining, theirs.kept = ours.remaining, ours.kept
        if ours.remaining < self._begun:
            self._delivered.append(source.node)

    async def _verdict(self) -> Validity:
        if self._source is None:
            return Validity.INVALID
        # Asked also where it does not count, since the node says it in any case.
        verdict = await self._source.verdict()
        return Validity.INVALID if self._switched else verdict

    async def end(self, raised: BaseException | None) -> None:
        """The client is done with it, or ``raised`` ends it."""
        source, ours = self._source, self._payload
        if source is None:
            return
        self._release(source)
        if raised is None and not ours.remaining and not ours.kept:
            self._reader.doubt(self._key, self._delivered)
        await source.leave(raised)


def _due(key: Key, offset: int) -> int | None:
    """The bytes of the content from ``offset`` on, if the key tells."""
    if key.size is None or key.without_chunk() is not key:
        return None
    return max(key.size - offset, 0)


def _nowhere(key: Key, causes: list[RequestError]) -> NotOnReachableNodes:
    detail = "; ".join(str(cause) for cause in causes)
    return NotOnReachableNodes(key=key, detail=detail)
