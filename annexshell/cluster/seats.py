"""Seat: one node's part in one PUT.

A node's `Store.put` is a block that may hang in any of its steps, and must be left by the
task that entered it. So each node has a task of its own, which can be cancelled while the
others go on.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable

import attrs
import trio

from annexshell.cluster.errors import NodeGivenUp, NodeHangs
from annexshell.cluster.health import asking, failed, named
from annexshell.cluster.node import Node
from annexshell.errors import AnnexshellError, PeerFailed
from annexshell.model.key import Key
from annexshell.store import AlreadyHave, Intake, Outcome

Work = Callable[[Intake], Awaitable[Outcome]]


class Bell:
    """Wakes whoever waits for something to happen at any seat."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = trio.Event()

    async def heard(self) -> None:
        """Return at the next ring. Look first, and do not await between: rings are not
        remembered."""
        await self._event.wait()

    async def bounded(
        self, limit: float, done: Callable[[], bool], begun: Callable[[], bool]
    ) -> None:
        """Wait until ``done``, but only ``limit`` seconds from when it has ``begun``."""
        with trio.CancelScope() as patience:
            while not done():
                if patience.deadline == math.inf and begun():
                    patience.deadline = trio.current_time() + limit
                await self.heard()


@attrs.define(eq=False)
class Seat:
    """What became of ``node``: it offered to go on from ``offset``, or told what it
    ``has`` already; then its ``outcome``, or the ``failure``."""

    node: Node
    bell: Bell
    offset: int | None = None
    has: AlreadyHave | None = None
    outcome: Outcome | None = None
    failure: Exception | None = None
    ended: trio.Event = attrs.field(init=False, factory=trio.Event)
    _scope: trio.CancelScope = attrs.field(init=False, factory=trio.CancelScope)
    _work: Work | None = attrs.field(init=False, default=None)
    _told: trio.Event = attrs.field(init=False, factory=trio.Event)

    async def attend(self, key: Key, name: bytes) -> None:
        """All of the node's part; ends with `ended`. Failures of the node's are kept."""
        try:
            with self._scope, asking(self.node, fed=True):
                await self._attend(key, name)
        except AnnexshellError as error:
            self.failure = self.failure or error
        finally:
            self.ended.set()
            self.bell.ring()

    async def _attend(self, key: Key, name: bytes) -> None:
        async with self.node.store.put(key, name) as intake:
            if isinstance(intake, AlreadyHave):
                self.has = intake
                return
            self.offset = intake.offset
            self.bell.ring()
            await self._told.wait()
            if self._work is not None:
                self.outcome = await self._work(intake)
                self.bell.ring()

    # -- for the task that leads the PUT ---------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether nothing more is to be expected."""
        return self.outcome is not None or self.ended.is_set()

    @property
    def settled(self) -> bool:
        """Whether the node has said how it wants to take part, or cannot."""
        return self.offset is not None or self.over

    @property
    def offers(self) -> bool:
        """Whether it waits for bytes."""
        return self.offset is not None and not self.over

    @property
    def stored(self) -> bool:
        return self.outcome is not None and self.outcome.ok

    @property
    def reason(self) -> Exception | None:
        """Why it has not stored anything; None if it has, or said no reason."""
        said = self.outcome.reason if self.outcome else ""
        if self.stored:
            return None
        if said:
            return PeerFailed(name=self.node.name, detail=said)
        return self.failure

    def call(self, work: Work) -> None:
        """Have it do ``work`` with its intake, then leave."""
        self._work = work
        self._told.set()

    def leave(self) -> None:
        """Have it leave, if it waits."""
        self._told.set()

    def give_up(self, detail: str) -> None:
        """Cancel whatever it does."""
        self._left_out(NodeHangs(name=self.node.name, detail=detail))
        self._scope.cancel()

    def do_without(self, detail: str) -> None:
        """Have it leave although it waits for bytes."""
        self._left_out(NodeGivenUp(name=self.node.name, detail=detail))
        self.leave()

    def _left_out(self, given_up: NodeGivenUp) -> None:
        self.failure = failed(self.node, given_up)


def first_reason(seats: Iterable[Seat]) -> str:
    """Why the first of those that say so has not stored anything."""
    reasons = (str(named(seat.node, seat.reason)) for seat in seats if seat.reason)
    return next(reasons, "none of them said why")
