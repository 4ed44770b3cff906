"""PUT to a cluster: one upload, to all nodes that want it at once (spec 01 §8.4).

The nodes are asked together, and whoever does not answer or does not keep up is left out;
what is left out is only that much less of a copy. What may never happen is that a copy is
claimed that is not there: what nodes did counts from their answers under the *change*
lock, is recorded in one write, and only then told.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from functools import partial

import attrs
import trio

from annexshell.cluster import beliefs
from annexshell.cluster.context import Context
from annexshell.cluster.errors import NodeGivenUp, NoneStored
from annexshell.cluster.health import asking, failed
from annexshell.cluster.node import Node
from annexshell.cluster.places import Places
from annexshell.cluster.plan import Group, Known
from annexshell.cluster.seats import Bell, Seat, first_reason
from annexshell.errors import (
    PayloadShort,
    PeerFailed,
    RemovedMeanwhile,
    RequestError,
    StorageFailed,
)
from annexshell.model.duration import spell_duration, time_to_hash
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.proxy import turns
from annexshell.repository.keylocks import KeyLock
from annexshell.store import AlreadyHave, Intake, Outcome
from annexshell.transport.branch import Branch
from annexshell.transport.fanout import Fan

_LEAVING = 5.0
"""Seconds for nodes to hear that nothing more comes, before they are cut off."""
_FRESH = 5.0
"""Seconds for which a node's word is passed on without asking again."""
_NOWHERE = "it says that it has the content, but not on which node"
_TOO_MUCH = "it has more bytes of it than there are; git annex unused there finds them"
_TELLING = 5.0
"""Seconds between signs of life for other uploaders of the key."""

log = logging.getLogger("annexshell.cluster")

Step = Callable[[], Awaitable[None]]


@asynccontextmanager
async def put(
    context: Context, nodes: Sequence[Node], key: Key, name: bytes
) -> AsyncIterator[Upload | AlreadyHave]:
    """As `Store.put`. Raises TransferInProgress and NoneStored; there must be nodes.

    A session that is another gateway's does not wait for this gateway's upload: that one
    may be waiting for the other gateway.
    """
    waits, stall = not context.relayed(), context.patience.stall
    failures: list[Exception] = []
    async with (
        turns.uploading(context.locks, key, stall, waits=waits) as lock,
        aclosing(Places(context, key, name)) as places,
    ):
        with closing(Upload(context, key, name, places)) as upload:
            async with trio.open_nursery() as nursery:
                if lock is not None:
                    nursery.start_soon(upload.tell_others, lock)
                try:
                    yield await upload.begin(nursery, nodes)
                except Exception as error:
                    # Not to be wrapped into the nursery's group of failures.
                    failures.append(error)
                await upload.leave()
                nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]


class Upload:
    """One PUT; the cluster's `Intake`."""

    def __init__(self, context: Context, key: Key, name: bytes, places: Places) -> None:
        self.offset = 0
        self._context = context
        self._key = key
        self._name = name
        self._places = places
        self._bell = Bell()
        self._seats: list[Seat] = []
        self._chosen: list[Seat] = []
        self._fan: Fan | None = None
        self._payload: Payload | None = None
        self._refused: RequestError | None = None
        self._theirs = False  # it is the nodes' fault if nothing is stored
        self._begun = trio.current_time()
        self._holders: frozenset[UUID] = frozenset()
        self._living: frozenset[UUID] = frozenset()
        self._direct: frozenset[UUID] = frozenset()

    # -- asking ----------------------------------------------------------------------------

    async def begin(
        self, nursery: trio.Nursery, nodes: Sequence[Node]
    ) -> Upload | AlreadyHave:
        """Ask one group of nodes after the other, until one has the key or takes it."""
        context = self._context
        self._holders = context.holders(self._key)
        relaying = any(node.gateway for node in nodes)
        if relaying or context.relayed():
            self._living = context.living()
        self._direct = frozenset(n.uuid for n in nodes if not n.gateway)
        beyond = self._living - context.avoided if relaying else frozenset()
        others = self._living - self._direct - beyond if context.relayed() else ()
        known = Known(
            *(nodes, self._holders, beyond),
            unwanted=context.unwanted,
            elsewhere=others,
        )
        for group in await self._places.find(known):
            await self._places.take(group)
            await self._ask(nursery, group.nodes)
            had = any(seat.has for seat in self._seats)
            self._choose(group, had)
            if self._chosen:
                self.offset = min(seat.offset or 0 for seat in self._chosen)
                return self
            if had:
                return await self._already_there()
        raise self._none_stored()

    def _choose(self, group: Group, had: bool) -> None:
        """Of those that offer to store it, have those leave that are not to."""
        offering = [seat for seat in self._seats if seat.offers]
        nodes = group.chosen([seat.node for seat in offering], had)
        self._chosen = [seat for seat in offering if seat.node in nodes]
        for seat in offering:
            if seat not in self._chosen:
                seat.leave()

    async def _ask(self, nursery: trio.Nursery, nodes: Sequence[Node]) -> None:
        """Return when all have answered, or the first one has had to wait enough."""
        seats = [Seat(node, self._bell) for node in nodes]
        self._seats += seats
        for seat in seats:
            nursery.start_soon(seat.attend, self._key, self._name)
        limit = self._context.patience.node
        await self._bell.bounded(
            limit,
            lambda: all(seat.settled for seat in seats),
            lambda: any(seat.offers or seat.has for seat in seats),
        )
        late = f"it did not begin within {spell_duration(limit)} of another node"
        for seat in seats:
            if not seat.settled:
                seat.give_up(late)
            elif seat.has and not self._vouches(seat.node, seat.has.others):
                seat.has, told = None, PeerFailed(name=seat.node.name, detail=_NOWHERE)
                seat.failure = failed(seat.node, told)

    def _vouches(self, node: Node, others: Collection[UUID]) -> bool:
        """Whether a node that has the content can be the one copy there is.

        git-annex's gateway has everything where it has no nodes (spec 01 §8.4), and any
        may reach nothing but the repository that the content comes from.
        """
        context = self._context
        return not node.gateway or bool({*others} - {context.uuid, context.sender})

    # -- what is there already -------------------------------------------------------------

    async def _already_there(self) -> AlreadyHave:
        """Raises RemovedMeanwhile, RequestError: it may have been removed since.

        What the log says as well is told at once, unless another node kept us waiting.
        """
        context, key = self._context, self._key
        claimed = self._claimed([seat for seat in self._seats if seat.has])
        if self._fresh and claimed and self._holders.issuperset(claimed):
            return AlreadyHave(claimed)
        async with turns.storing(context.locks, key, context.patience.upload):
            confirmed = await self._confirmed()
            if not confirmed:
                raise RemovedMeanwhile(key=key)
            claimed = await self._recorded(confirmed)
        return AlreadyHave(claimed)

    @property
    def _fresh(self) -> bool:
        """Whether what nodes said they have may be passed on without asking again."""
        return trio.current_time() < self._begun + _FRESH

    async def _confirmed(self) -> list[Seat]:
        """Those that had the key and, asked again, still have it."""
        found: list[Seat] = []
        async with trio.open_nursery() as nursery:
            for seat in self._seats:
                if seat.has:
                    nursery.start_soon(self._confirm, seat, found)
        return [seat for seat in self._seats if seat in found]

    async def _confirm(self, seat: Seat, found: list[Seat]) -> None:
        await seat.ended.wait()
        try:
            with asking(seat.node):
                if await seat.node.store.present(self._key):
                    if not self._fresh:
                        # Of others it was not asked again.
                        seat.has = AlreadyHave()
                    found.append(seat)
        except RequestError as error:
            # Told already. What cannot be asked is not claimed.
            seat.failure = error

    # -- bytes -----------------------------------------------------------------------------

    async def accept(self, payload: Payload) -> Outcome:
        """See `Intake.accept`: ok if one node has it.

        Raises PayloadShort where the client ends early: every node keeps what it has. And
        LockTimeout, where a removal of the key does not end.
        """
        context, self._payload, self._theirs = self._context, payload, True
        offered = [seat for seat in self._chosen if seat.offers]
        async with turns.storing_when_judged(
            context.locks, self._key, context.patience.upload, payload
        ) as take:
            payload.verdict = partial(self._judged, payload.verdict)
            return await self._concluded(take, partial(self._send, payload, offered))

    async def _judged(self, verdict: Callable[[], Awaitable[Validity]]) -> Validity:
        try:
            found = await verdict()
            self._theirs = found is not Validity.INVALID
            return found
        except RequestError as error:
            # It fails the nodes, each for itself, but is nobody's but ours.
            self._refused = error
            raise

    async def adopt(self) -> Outcome:
        """DATA-PRESENT: every node that offered is asked whether it has it now."""
        context = self._context
        offered = [seat for seat in self._chosen if seat.offers]
        async with turns.storing(context.locks, self._key, context.patience.upload):
            return await self._concluded(
                trio.lowlevel.checkpoint, partial(self._have_adopted, offered)
            )

    async def _concluded(self, take: Step, store: Step) -> Outcome:
        """The outcome of ``store``, recorded; ``take`` makes sure of the lock."""
        confirmed: list[Seat] = []
        try:
            await store()
            if any(seat.has for seat in self._seats):
                await take()
                confirmed = await self._confirmed()
        finally:
            # Also if the client is leaving: it happened.
            with trio.CancelScope(shield=True):
                stored = [seat for seat in self._seats if seat.stored]
                claimed = await self._recorded([*confirmed, *stored])
        if confirmed or stored:
            return Outcome(True, claimed)
        if self._refused is not None:
            raise self._refused
        if self._theirs:
            self._context.has_failed(
                self._key, (seat.node.name for seat in self._chosen)
            )
        return Outcome(False, reason=str(self._none_stored()))

    async def _have_adopted(self, offered: list[Seat]) -> None:
        for seat in offered:
            seat.call(partial(self._adopted, seat.node))
        await self._finished(offered)

    async def _adopted(self, node: Node, intake: Intake) -> Outcome:
        return self._believable(node, await intake.adopt())

    def _believable(self, node: Node, outcome: Outcome) -> Outcome:
        """What is named may be the sender alone; where nobody is, something was stored."""
        if outcome.ok and outcome.others and not self._vouches(node, outcome.others):
            return attrs.evolve(outcome, ok=False, reason=_NOWHERE)
        return outcome

    async def _send(self, payload: Payload, offered: list[Seat]) -> None:
        """Return when all nodes are done with the bytes, and with what came of them."""
        self._fan = fan = Fan(payload, patience=self._context.patience.slow)
        for seat in offered:
            begun = seat.offset or 0
            if self._key.size is None and begun - self.offset > payload.length:
                # Nothing may tell the node that what it has is not the content.
                seat.do_without(_TOO_MUCH)
                continue
            # It hashes what it has before it reads on.
            patience = self._context.slowness(seat.node) + time_to_hash(begun)
            branch = fan.branch(begun - self.offset, seat.node.name, patience)
            seat.call(partial(self._take, seat.node, branch))
        try:
            await fan.run()
        except PayloadShort:
            # They are told the same way, and keep what they have.
            await self.leave()
            raise
        await self._finished(offered)

    async def _take(self, node: Node, branch: Branch, intake: Intake) -> Outcome:
        try:
            with branch.scope, self._context.busy.transfer(node.uuid):
                outcome = await intake.accept(branch.payload)
                self._context.kept_up(node)
                return self._believable(node, outcome)
        finally:
            branch.close()
        self._context.was_slow(node)
        raise NodeGivenUp(name=node.name, detail=branch.given_up)

    async def _finished(self, offered: list[Seat]) -> None:
        """Return when all nodes are done, or the first one has had to wait enough."""
        limit = self._context.patience.last(self._key)
        await self._bell.bounded(
            limit,
            lambda: all(seat.over for seat in offered),
            lambda: any(seat.stored for seat in offered),
        )
        late = f"it was not done {spell_duration(limit)} after another node"
        for seat in offered:
            if not seat.over:
                seat.give_up(late)
            elif seat.outcome is not None or isinstance(seat.failure, PayloadShort):
                # The client's bytes were all there, so that is the node's own too.
                if seat.reason is not None:
                    failed(seat.node, seat.reason)

    # -- the end ---------------------------------------------------------------------------

    async def leave(self) -> None:
        """Have all nodes leave in good order, those that do."""
        for seat in self._seats:
            seat.leave()
        with trio.move_on_after(_LEAVING):
            for seat in self._seats:
                await seat.ended.wait()

    def close(self) -> None:
        """When nobody reads any more: a node's task may have ended before it began to."""
        if self._fan is not None:
            self._fan.close()

    async def tell_others(self, lock: KeyLock) -> None:
        """Touch the lock as long as the upload gets on: others wait for that."""
        last: object = None
        while True:
            await trio.sleep(min(_TELLING, self._context.patience.stall / 4))
            left = None if self._payload is None else self._payload.remaining
            now = (left, [(seat.settled, seat.over) for seat in self._seats])
            if now != last:
                last = now
                try:
                    lock.touch()
                except StorageFailed as error:
                    log.warning("%s", error)

    async def _recorded(self, seats: Collection[Seat]) -> tuple[UUID, ...]:
        """Those that have the key now, by what may be believed, once it is in the log."""
        claimed = self._claimed(seats)
        await self._context.record(self._key, claimed, True)
        return claimed

    def _claimed(self, seats: Collection[Seat]) -> tuple[UUID, ...]:
        parts = []
        for seat in seats:
            answer = seat.has or seat.outcome
            others = answer.others if answer else ()
            parts.append((*beliefs.named(seat.node), *self._believed(seat, others)))
        return beliefs.merged(parts, {self._context.uuid, self._context.sender})

    def _believed(self, seat: Seat, others: tuple[UUID, ...]) -> tuple[UUID, ...]:
        if not others:
            return ()
        if seat.node.gateway:
            return beliefs.of_a_gateway(others, self._living)
        described = self._context.described()
        return beliefs.of_a_node(others, described, self._direct)

    def _none_stored(self) -> NoneStored:
        """With the first reason that a node had."""
        detail = first_reason(self._seats)
        return NoneStored(name=self._context.name, detail=detail)
