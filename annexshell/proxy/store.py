"""ProxiedStore: another Store, and the gateway's memory of what it holds (spec 01 §8.5).

The location is journalled before the client hears of the change. Where journalling fails
after the node did its part, the client is still told the truth about the content: the
node has it, or has it no more, and `git annex fsck --from` repairs the log.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import attrs

from annexshell.errors import RequestError
from annexshell.model.ids import UUID, looks_like_uuid
from annexshell.model.key import Key
from annexshell.model.payload import Payload
from annexshell.store import AlreadyHave, HeldLock, Intake, Outcome, Store

log = logging.getLogger("annexshell.proxy")


class Locations(Protocol):
    """The gateway's location log."""

    def record(self, key: Key, uuid: UUID, present: bool) -> bool:
        """Remember, durably, where ``key`` is; whether that was news."""

    def descriptions(self) -> dict[UUID, bytes]:
        """The repositories known here."""


@attrs.frozen
class ProxiedStore:
    """``inner``, the repository ``uuid``, as the gateway passes it on."""

    inner: Store
    uuid: UUID
    locations: Locations

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
        outcome = self._believed(await self.inner.remove(key, before))
        if outcome.others and outcome.ok:
            outcome = attrs.evolve(outcome, others=(self.uuid, *outcome.others))
        self._record(key, outcome, present=False)
        return outcome

    @asynccontextmanager
    async def put(self, key: Key, name: bytes) -> AsyncIterator[Intake | AlreadyHave]:
        async with self.inner.put(key, name) as intake:
            if isinstance(intake, AlreadyHave):
                # git-annex leaves a log that disagrees as it is; ours mends it.
                have = self._believed(Outcome(True, intake.others))
                self._record(key, have, present=True)
                yield AlreadyHave(have.others)
            else:
                yield _RecordingIntake(self, key, intake)

    def stored(self, key: Key, outcome: Outcome) -> Outcome:
        """A PUT's outcome, recorded, with only what may be believed of it."""
        outcome = self._believed(outcome)
        if outcome.ok:
            self._record(key, outcome, present=True)
        return outcome

    def _believed(self, outcome: Outcome) -> Outcome:
        return attrs.evolve(outcome, others=self._known(outcome.others))

    def _known(self, uuids: tuple[UUID, ...]) -> tuple[UUID, ...]:
        # A node may say anything; what it says would go into the log of every clone.
        if not uuids:
            return ()
        known = self.locations.descriptions()
        believed = (u for u in uuids if looks_like_uuid(u) and u in known)
        return tuple(dict.fromkeys(u for u in believed if u != self.uuid))

    def _record(self, key: Key, outcome: Outcome, present: bool) -> None:
        mine = (self.uuid,) if outcome.ok else ()
        for uuid in dict.fromkeys((*mine, *outcome.others)):
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
        return self.store.stored(self.key, await self.inner.accept(payload))

    async def adopt(self) -> Outcome:
        return self.store.stored(self.key, await self.inner.adopt())
