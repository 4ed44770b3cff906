"""REMOVE from a cluster: every node is asked at once, and success is theirs together
(spec 01 §8.6).

A time limit is each node's own clock's. So each node is asked for its time just before it
is asked to remove, and our clock is read after its answer came: whatever takes time, and
every rounding, makes the limit earlier and never later. Nothing is remembered between
requests, so a node that was started anew in between cannot be misled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import trio

from annexshell.cluster import beliefs
from annexshell.cluster.context import Context
from annexshell.cluster.errors import NoneRemoved, NoNodes, NoTimeLimit
from annexshell.cluster.health import asking, failed, named
from annexshell.cluster.node import Node
from annexshell.errors import (
    AnnexshellError,
    LinkError,
    PeerFailed,
    PeerUnreachable,
    RequestError,
    printable,
)
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.proxy import turns
from annexshell.store import Outcome

_UNSAID = "it did not remove the content, and said no reason"
_TOO_LATE = "the time until which the content might be removed was over"


@attrs.define(eq=False)
class _Part:
    """What one node said."""

    node: Node
    outcome: Outcome | None = None
    failure: Exception | None = None

    @property
    def ok(self) -> bool:
        return self.outcome is not None and self.outcome.ok


async def remove(
    context: Context, nodes: Sequence[Node], key: Key, before: int | None
) -> Outcome:
    """As `Store.remove`: ok only if no node that may have it is left.

    What was removed is recorded and named whatever became of the rest. Raises NoneRemoved,
    and LockTimeout where an upload of the key is being stored.
    """
    if not nodes:
        return Outcome(False, reason=str(NoNodes(name=context.name)))
    patience = context.patience.removal(key)
    if context.relayed():
        # The upload that has the lock may be waiting for that gateway.
        patience = min(patience, turns.SHORTLY)
    async with turns.removing(context.locks, key, patience):
        return await _Removal(context, nodes, key, before).run()


class _Removal:
    def __init__(
        self, context: Context, nodes: Sequence[Node], key: Key, before: int | None
    ) -> None:
        self._context = context
        self._key = key
        self._before = before
        self._parts = [_Part(node) for node in nodes]

    async def run(self) -> Outcome:
        living = await self._context.living()
        listed = await self._context.holders(self._key)
        try:
            async with trio.open_nursery() as nursery:
                for part in self._parts:
                    nursery.start_soon(self._ask, part)
        finally:
            # Also if the client is leaving: it happened.
            with trio.CancelScope(shield=True):
                removed = await self._removed(living)
                await self._context.record(self._key, removed, False)
        return self._outcome(removed, (listed & living).difference(removed))

    async def _ask(self, part: _Part) -> None:
        try:
            with asking(part.node):
                part.outcome = await self._removed_from(part.node)
        except RequestError as error:
            part.failure = error
            return
        if not part.ok:
            reason = part.outcome.reason
            told = PeerFailed(name=part.node.name, detail=reason or self._unsaid())
            failed(part.node, told)
            part.failure = told if reason else None

    def _unsaid(self) -> str:
        """What nodes do not say: that the client's locks elsewhere may have ended."""
        over = self._before is not None and self._before <= self._context.clock()
        return _TOO_LATE if over else _UNSAID

    async def _removed_from(self, node: Node) -> Outcome:
        if self._before is None:
            return await node.store.remove(self._key)
        try:
            theirs = await node.store.timestamp()
        except AnnexshellError as error:
            if _is_gone(error):
                raise
            if await self._lacks(node):
                return Outcome(True)
            raise NoTimeLimit(name=node.name, detail=error) from error
        ours = math.ceil(self._context.clock())
        limit = translated(self._before, theirs, ours)
        outcome = await node.store.remove(self._key, limit)
        if not outcome.ok and not outcome.others and await self._lacks(node):
            return Outcome(True)
        return outcome

    async def _lacks(self, node: Node) -> bool:
        """Whether a node that cannot be given a time limit need not be.

        Another gateway may answer from its log, which does not say enough.
        """
        if node.gateway:
            return False
        try:
            return not await node.store.present(self._key)
        except AnnexshellError:
            return False

    async def _removed(self, living: frozenset[UUID]) -> tuple[UUID, ...]:
        """Those that do not have it any more, by what may be believed."""
        asked = {part.node.uuid for part in self._parts}
        parts = []
        for part in self._parts:
            others = part.outcome.others if part.outcome else ()
            if others and part.node.gateway:
                others = beliefs.of_a_gateway(others, living, asked)
            elif others:
                described = await self._context.described()
                others = beliefs.of_a_node(others, described, asked)
            parts.append((*(beliefs.named(part.node) if part.ok else ()), *others))
        return beliefs.merged(parts, {self._context.uuid})

    def _outcome(
        self, removed: tuple[UUID, ...], unconfirmed: frozenset[UUID]
    ) -> Outcome:
        left = [part for part in self._parts if not part.ok]
        for part in left:
            if part.failure is not None and not removed:
                detail = named(part.node, part.failure)
                raise NoneRemoved(name=self._context.name, detail=detail)
        if left:
            return Outcome(False, removed)
        if unconfirmed and not self._context.relayed():
            # Who relays to us takes care of those that it had us leave out.
            names = ", ".join(printable(uuid) for uuid in sorted(unconfirmed))
            return Outcome(False, removed, f"it may still be in {names}")
        return Outcome(True, removed)


def _is_gone(error: Exception) -> bool:
    """Whether there is nobody to be asked anything else."""
    gone = PeerUnreachable | LinkError
    return isinstance(error, gone) or isinstance(error.__cause__, LinkError)


def translated(before: int, theirs: int, ours: int) -> int:
    """``before``, a time of our clock, as a time of a clock that showed ``theirs`` not
    after ours showed ``ours``; 0, which is past for every clock, if it has passed."""
    return max(0, theirs + before - ours) if before > ours else 0
