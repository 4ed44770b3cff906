"""One payload for the client, and the nodes that stand behind it one after the other.

Where one ends early, the next goes on at the same byte. What came from several nodes nobody
has seen whole, so nobody vouches for it, and the client verifies it.

A node's own payload is left in the order of things: told what became of it if its last byte
was delivered, dropped in the middle otherwise. So the context of a node's `Store.get` is
entered and left at different places and by different tasks, and may hold no cancel scope
open between them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial

import attrs
import trio

from annexshell.cluster.health import asking, failed, is_missing, leaving, named
from annexshell.cluster.node import Node
from annexshell.cluster.racing import Race
from annexshell.errors import OtherLength, PayloadShort, PayloadStalled, RequestError
from annexshell.model.duration import spell_duration
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity, nothing
from annexshell.repository.busy import Busy
from annexshell.repository.timeouts import NODE


@attrs.define(eq=False)
class _Source:
    """One node's payload. ``said`` is its verdict where that is known beforehand."""

    node: Node
    context: AbstractAsyncContextManager[Payload]
    payload: Payload
    said: Validity | None = None
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

    async def verdict(self, patience: float) -> Validity:
        """What the node says of its bytes; nothing good if it cannot, or not in time."""
        if self.said is not None:
            return self.said
        verdict = Validity.INVALID
        with leaving(self.node):
            with trio.move_on_after(patience) as scope:
                verdict = await self.payload.verdict()
            if scope.cancelled_caught:
                raise _silent(self.node, patience)
        return verdict

    async def leave(self, raised: BaseException | None = None) -> None:
        """Let the node go; ``raised`` is what ends its use, if anything does."""
        self.slot.close()
        with leaving(self.node):
            kind = None if raised is None else type(raised)
            trace = None if raised is None else raised.__traceback__
            await self.context.__aexit__(kind, raised, trace)


class Delivery:
    """One GET: the client's payload, and the nodes that are ``left`` to go on from.

    One that falls silent for ``patience`` seconds is replaced, if it can be. ``causes`` is
    what nodes failed at that were to begin.
    """

    def __init__(
        self,
        busy: Busy,
        key: Key,
        offset: int,
        name: bytes,
        left: list[Node],
        patience: float = NODE,
    ) -> None:
        self.causes: list[RequestError] = []
        self._busy = busy
        self._key = key
        self._offset = offset
        self._name = name
        self._left = left
        self._patience = patience
        self._source: _Source | None = None
        self._payload = nothing(Validity.INVALID)
        self._begun = 0
        """What remained when the source's first byte was due."""
        self._delivered: list[Node] = []
        """Those that gave at least one byte, and were left."""

    async def begin(self) -> Payload | None:
        """The client's payload, or None where no node gave one."""
        source = await self._next(self._offset, _due(self._key, self._offset))
        if source is None:
            return None
        self._payload = Payload(
            source.payload.length, verdict=self._verdict, substitute=self._substitute
        )
        self._follow(source)
        return self._payload

    async def _next(self, offset: int, due: int | None) -> _Source | None:
        """The next node's payload from ``offset`` on, of ``due`` bytes if that is known."""
        race = Race(partial(self._try, offset, due))
        try:
            source = await race.run(self._left)
        except BaseException as error:
            for found in race.found:
                await found.leave(error)
            raise
        self._left = race.unasked + race.beaten
        for late in race.found[1:]:
            self._left.append(late.node)
            await late.leave()
        return source

    async def _try(self, offset: int, due: int | None, node: Node) -> _Source | None:
        """The node's payload, if it is what is wanted."""
        try:
            source = await self._open(node, offset)
        except RequestError as error:
            self.causes.append(named(node, error))
            return None
        length = source.payload.length
        if not source.absent(self._key, offset):
            if due is None or length == due:
                return source
            wrong = OtherLength(length=length, due=due, key=self._key)
            self.causes.append(failed(node, wrong))
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
        ours.ready = None
        if theirs.ready is not None:
            ours.ready = partial(self._ready, source.node, theirs.ready)
        source.slot.enter_context(self._busy.transfer(source.node.uuid))
        self._source, self._begun = source, ours.remaining

    async def _ready(self, node: Node, ready: Callable[[], Awaitable[None]]) -> None:
        """``ready``; where another node can go on it is waited for less."""
        if all(is_missing(other) for other in self._left):
            return await ready()
        with trio.move_on_after(self._patience) as scope:
            await ready()
        if scope.cancelled_caught:
            raise _silent(node, self._patience)

    async def _substitute(self, why: PayloadShort) -> bool:
        """See `Payload.substitute`."""
        ours = self._payload
        if self._source is not None:
            await self._give_up(self._source, why)
        delivered = ours.length - ours.remaining
        source = await self._next(self._offset + delivered, ours.remaining)
        if source is None:
            return False
        self._follow(source)
        return True

    async def _give_up(self, source: _Source, why: PayloadShort) -> None:
        ours = self._payload
        # As the node that it is, whatever its payload is called.
        failed(source.node, type(why)(**why.fields | {"name": source.node.name}))
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
        verdict = await self._source.verdict(self._patience)
        return Validity.INVALID if self._delivered else verdict

    async def end(self, raised: BaseException | None = None) -> None:
        """The client is done with it, or ``raised`` ends it."""
        if self._source is not None:
            source = self._source
            self._release(source)
            await source.leave(raised)

    @property
    def refused(self) -> list[Node]:
        """Those that delivered what the client called invalid; known once it is done."""
        ours = self._payload
        return [] if ours.remaining or ours.kept else self._delivered


def _silent(node: Node, patience: float) -> PayloadStalled:
    return PayloadStalled(name=node.name, time=spell_duration(patience))


def _due(key: Key, offset: int) -> int | None:
    """The bytes of the content from ``offset`` on, if the key tells."""
    if key.size is None or key.without_chunk() is not key:
        return None
    return max(key.size - offset, 0)
