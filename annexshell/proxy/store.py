"""ProxiedStore: another Store, and the gateway's memory of what it holds (spec 01 §8.5).

The location is journalled before the client hears of the change. Where journalling fails
after the node did its part, the client is still told the truth about the content: the
node has it, or has it no more, and `git annex fsck --from` repairs the log.

What the node does and what is recorded of it happen in one order for all sessions of the
gateway: a lock is held from the one to the other, or the log could end with an upload that
came before a removal.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

import attrs
import trio

from annexshell.errors import RemovedMeanwhile, RequestError
from annexshell.model.ids import UUID, looks_like_uuid
from annexshell.model.key import Key
from annexshell.model.payload import Payload
from annexshell.proxy import turns
from annexshell.repository.keylocks import KeyLocks
from annexshell.repository.timeouts import NODE
from annexshell.store import (
    AlreadyHave,
    HeldLock,
    Intake,
    Outcome,
    Store,
    at_once,
)

_PATIENCE = 15 * NODE
"""Seconds to wait for another session's removal, or until what it sent is stored."""

log = logging.getLogger("annexshell.proxy")


class Locations(Protocol):
    """The gateway's location log."""

    def record(self, key: Key, uuid: UUID, present: bool) -> bool:
        """Remember, durably, where ``key`` is; whether that was news."""

    def record_at_once(self, key: Key, found: Mapping[UUID, bool]) -> bool:
        """`record` for all of these in one write; False, with nothing done, where somebody
        else would have to be waited for."""

    def descriptions(self) -> dict[UUID, bytes]:
        """The repositories known here."""


def known_only(uuids: Iterable[UUID], known: Collection[UUID]) -> tuple[UUID, ...]:
    """Those that are repositories and ``known``, once each: a node may say anything, and
    what it says would go into the log of every clone (spec 01 §7.4)."""
    believed = (u for u in uuids if looks_like_uuid(u) and u in known)
    return tuple(dict.fromkeys(believed))


@attrs.frozen
class ProxiedStore:
    """``inner``, the repository ``uuid``, as the gateway passes it on.

    ``locks`` are those of the gateway; without them nothing is put in order.
    """

    inner: Store
    uuid: UUID
    locations: Locations
    locks: KeyLocks | None = None
    patience: float = _PATIENCE

    def present_at_once(self, key: Key) -> bool | None:
        return at_once(self.inner)(key)

    async def present(self, key: Key) -> bool:
        return await self.inner.present(key)

    def lock(self, key: Key) -> AbstractAsyncContextManager[HeldLock | None]:
        return self.inner.lock(key)

    async def timestamp(self) -> int:
        return await self.inner.timestamp()

    def get(
        self, key: Key, offset: int, name: bytes
    ) -> AbstractAsyncContextManager[Payload]:
        return self.inner.get(key, offset, name)

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        async with turns.removing(self.locks, key, self.patience):
            outcome = await self._believed(await self.inner.remove(key, before))
            if outcome.others and outcome.ok:
                outcome = attrs.evolve(outcome, others=(self.uuid, *outcome.others))
            await self._record(key, outcome, present=False)
        return outcome

    @asynccontextmanager
    async def put(self, key: Key, name: bytes) -> AsyncIterator[Intake | AlreadyHave]:
        async with self.inner.put(key, name) as intake:
            if isinstance(intake, AlreadyHave):
                have = await self._believed(Outcome(True, intake.others))
                await self._mend(key, have)
                yield AlreadyHave(have.others)
            else:
                yield _RecordingIntake(self, key, intake)

    async def _mend(self, key: Key, have: Outcome) -> None:
        """git-annex leaves a log that disagrees as it is; ours mends it.

        Raises RemovedMeanwhile: somebody else's removal may have come between.
        """
        async with turns.storing(self.locks, key, self.patience):
            if self.locks is not None and not await self.inner.present(key):
                raise RemovedMeanwhile(key=key)
            await self._record(key, have, present=True)

    async def stored(self, key: Key, outcome: Outcome) -> Outcome:
        """A PUT's outcome, recorded, with only what may be believed of it."""
        outcome = await self._believed(outcome)
        if outcome.ok:
            await self._record(key, outcome, present=True)
        return outcome

    async def _believed(self, outcome: Outcome) -> Outcome:
        if not outcome.others:
            return outcome
        # Also if the client is leaving, as `_record`, which comes next.
        with trio.CancelScope(shield=True):
            known = await trio.to_thread.run_sync(self.locations.descriptions)
        others = (u for u in known_only(outcome.others, known) if u != self.uuid)
        return attrs.evolve(outcome, others=tuple(others))

    async def _record(self, key: Key, outcome: Outcome, present: bool) -> None:
        """Also if the client is leaving: it happened."""
        mine = (self.uuid,) if outcome.ok else ()
        uuids = tuple(dict.fromkeys((*mine, *outcome.others)))
        if uuids and not self._recorded_at_once(key, uuids, present):
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(
                    partial(self._record_each, key, uuids, present)
                )

    def _recorded_at_once(
        self, key: Key, uuids: tuple[UUID, ...], present: bool
    ) -> bool:
        try:
            return self.locations.record_at_once(key, dict.fromkeys(uuids, present))
        except RequestError:
            # Each is tried by itself then, and told.
            return False

    def _record_each(self, key: Key, uuids: tuple[UUID, ...], present: bool) -> None:
        for uuid in uuids:
            try:
                self.locations.record(key, uuid, present)
            except RequestError as error:
                log.error("%s; run git annex fsck --from there", error)


@attrs.frozen
class _RecordingIntake:
    store: ProxiedStore
    key: Key
    inner: Intake

    @property
    def offset(self) -> int:
        return self.inner.offset

    async def accept(self, payload: Payload) -> Outcome:
        store = self.store
        async with turns.storing_when_judged(
            store.locks, self.key, store.patience, payload
        ):
            return await store.stored(self.key, await self.inner.accept(payload))

    async def adopt(self) -> Outcome:
        store = self.store
        async with turns.storing(store.locks, self.key, store.patience):
            return await store.stored(self.key, await self.inner.adopt())
