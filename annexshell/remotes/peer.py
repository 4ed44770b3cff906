"""PeerStore: a Store that is a P2P server at the other end of a Link (spec 01 §7.7).

One link at a time, opened when it is first needed and again after it failed: a node that
went away fails the request at hand, not the session. Whatever a node says is only
believed as far as the table of the conversation allows it to be said.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from annexshell.errors import (
    AnnexshellError,
    LinkClosed,
    LinkError,
    PeerFailed,
    PeerRefused,
    PeerUnreachable,
    ProtocolError,
)
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import Role, State
from annexshell.remotes.endings import ending, unwelcome
from annexshell.remotes.limits import NodeLimits
from annexshell.remotes.peer_intake import PeerIntake, outcome_of
from annexshell.repository.remedies import explained
from annexshell.store import AlreadyHave, HeldLock, Outcome
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link

log = logging.getLogger("annexshell.remotes")

RETENTION = 600
"""Seconds a locker may rely on its lock, whatever becomes of it (spec 01 §5.4)."""

TOO_OLD = (
    "it speaks version {version} of the P2P protocol, and is too old to be a gateway of this"
    " cluster; upgrade it"
)

_MOST_ABANDONED = 4
"""Each keeps a connection open, and a process at both of its ends."""


@attrs.define
class _Abandoned:
    """A lock whose locker is gone; its link stays open until the promise runs out."""

    channel: Channel
    until: float


def _nobody() -> tuple[UUID, ...]:
    """Who is bypassed by whoever is no gateway."""
    return ()


@attrs.define
class _PeerLock:
    channel: Channel
    name: str

    async def unlock(self) -> None:
        if self.channel.spoken_to():
            log.warning("%s ended the connection that held a lock", self.name)
            return
        self.channel.say(m.UnlockContent())
        try:
            await self.channel.flush()
        except LinkClosed as error:
            # It went just now. The client is done with the lock, and need not go too.
            log.warning("%s", error)


class PeerStore:
    """The remote ``name`` with ``uuid``, reached by whatever ``open_link`` opens.

    ``newest`` is the protocol version offered: the client's, so that nothing has to be
    made up for either. ``timeout`` is what `NodeLimits` are made from, in seconds.
    ``bypass`` says whom the peer, a gateway itself, is not to ask in turn (spec 01 §9);
    what it says may change. A peer that agrees on less than version ``least`` is not used.
    """

    def __init__(
        self,
        name: str,
        uuid: UUID,
        open_link: Callable[[], Awaitable[Link]],
        *,
        timeout: float = 60,
        bypass: Callable[[], tuple[UUID, ...]] = _nobody,
        least: int = 0,
    ) -> None:
        self.name = name
        self.uuid = uuid
        self.newest = 0
        self._open_link = open_link
        self._limits = NodeLimits(timeout)
        self._bypass = bypass
        self._least = least
        self._told: tuple[UUID, ...] = ()
        self._channel: Channel | None = None
        self._stamped: Channel | None = None
        self._abandoned: list[_Abandoned] = []

    # -- connecting --------------------------------------------------------------------

    async def offer(self, version: int) -> None:
        """From now on, speak ``version`` at most."""
        if version != self.newest:
            self.newest = version
            await self._drop()

    async def connect(self, *, told: bool = True) -> Channel:
        """A channel ready for a request. Raises PeerUnreachable.

        With ``told`` the peer knows whom to bypass by now.
        """
        if self._channel is not None and (
            # Nothing is due: it is the end, or would pass for the next answer.
            self._channel.spoken_to() or (told and self._told != self._wanted_bypass())
        ):
            await self._drop()
        if self._channel is None:
            self._channel = await self._connected()
        return self._channel

    async def _connected(self) -> Channel:
        limit = self._limits.connecting
        try:
            with trio.fail_after(limit):
                return await self._greeted(await self._open_link())
        except trio.TooSlowError as error:
            detail = f"no answer within {limit:g} seconds"
            raise PeerUnreachable(name=self.name, detail=detail) from error
        except OSError as error:
            detail = explained(error)
            if error.filename:
                detail = f"{error.filename}: {detail}"
            raise PeerUnreachable(name=self.name, detail=detail) from error
        except PeerUnreachable:
            raise
        except AnnexshellError as error:
            raise PeerUnreachable(name=self.name, detail=error) from error

    async def _greeted(self, link: Link) -> Channel:
        channel = Channel(link, Role.CLIENT)
        link.stall = self._limits.payload
        try:
            await self._negotiate(channel)
        except LinkClosed as error:
            await link.aclose()
            detail = ending(link.exit_code) or error
            raise PeerUnreachable(name=self.name, detail=detail) from error
        except BaseException:
            # It hangs, or is not what it ought to be: nobody waits for its end.
            link.abandon()
            raise
        return channel

    async def _negotiate(self, channel: Channel) -> None:
        try:
            greeting: object = await channel.receive()
        except ProtocolError as error:
            greeting = error
        wrong = unwelcome(greeting, self.uuid)
        if wrong:
            raise PeerUnreachable(name=self.name, detail=wrong)
        if self.newest == 0:
            self._introduce(channel)
            return
        channel.say(m.Version(self.newest))
        answer = await channel.receive()
        # A peer that answers ERROR knows no versions: it speaks version 0.
        if isinstance(answer, m.Version) and answer.number > self.newest:
            raise PeerFailed(name=self.name, detail="it chose a version not offered")
        self._introduce(channel)

    def _introduce(self, channel: Channel) -> None:
        """Say whom to bypass. Without, gateways would call each other for ever."""
        if channel.version < self._least:
            raise PeerUnreachable(
                name=self.name, detail=TOO_OLD.format(version=channel.version)
            )
        self._told = self._wanted_bypass()
        if self._told and channel.version >= 2:
            channel.say(m.Bypass(self._told))

    def _wanted_bypass(self) -> tuple[UUID, ...]:
        return tuple(sorted(self._bypass()))

    async def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.link.aclose()

    async def aclose(self) -> None:
        """End the connection; locks of dead lockers are kept for as long as promised."""
        await self._drop()
        for lock in self._abandoned:
            with trio.move_on_after(max(0, lock.until - time.monotonic())):
                await lock.channel.link.hung_up()
            await lock.channel.link.aclose()
        self._abandoned.clear()

    @property
    def holds_abandoned_locks(self) -> bool:
        """Whether `aclose` will wait for locks whose lockers are gone."""
        return bool(self._abandoned)

    # -- requests ------------------------------------------------------------------------

    async def _ask(
        self, request: m.Message, limit: float | None = None
    ) -> tuple[Channel, m.Message]:
        channel = await self.connect()
        limit = self._limits.answer if limit is None else limit
        return channel, await self._ask_on(channel, request, limit)

    async def _ask_on(
        self, channel: Channel, request: m.Message, limit: float
    ) -> m.Message:
        channel.link.idle = limit
        try:
            channel.say(request)
            return await channel.receive()
        except (LinkError, ProtocolError) as error:
            self._abandon()
            raise PeerFailed(name=self.name, detail=error) from error
        except BaseException:
            # Cancelled between question and answer: the answer would come out of turn.
            self._abandon()
            raise

    def _abandon(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.link.abandon()

    async def _drop_now(self) -> None:
        with trio.CancelScope(shield=True):
            await self._drop()

    async def present(self, key: Key) -> bool:
        _, answer = await self._ask(m.CheckPresent(key))
        return isinstance(_unless_error(answer), m.Success)

    async def timestamp(self) -> int:
        channel, answer = await self._ask(m.GetTimestamp())
        answer = _unless_error(answer)
        if not isinstance(answer, m.Timestamp):
            raise PeerFailed(name=self.name, detail="it gave no timestamp")
        self._stamped = channel
        return answer.seconds

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        # A time limit is in the time of this connection, which must be the same one.
        channel = await self.connect(told=before is None)
        request: m.Message = m.Remove(key)
        if before is not None:
            refusal = self._cannot_limit(channel)
            if refusal:
                return Outcome(False, reason=refusal)
            request = m.RemoveBefore(before, key)
        answer = await self._ask_on(channel, request, self._limits.removal)
        return outcome_of(_unless_error(answer))

    def _cannot_limit(self, channel: Channel) -> str:
        """Why a time limit would not be kept by the peer; empty if it would."""
        if channel.version < 3:
            return f"{self.name} is too old to remove content only before a given time"
        if self._stamped not in (None, channel):
            # It may have rebooted, and its clock started again from zero.
            return f"the connection to {self.name} was lost meanwhile; try again"
        return ""

    @asynccontextmanager
    async def lock(self, key: Key) -> AsyncIterator[HeldLock | None]:
        await self._forget_expired()
        if len(self._abandoned) >= _MOST_ABANDONED:
            detail = "too many locks were not given back with UNLOCKCONTENT"
            raise PeerFailed(name=self.name, detail=detail)
        channel, answer = await self._ask(m.LockContent(key))
        if not isinstance(_unless_error(answer), m.Success):
            yield None
            return
        until = time.monotonic() + RETENTION
        # While it is locked nothing else can be asked there; others get a link of their own.
        self._channel = None
        try:
            yield _PeerLock(channel, self.name)
        finally:
            await self._after_lock(channel, until)

    async def _forget_expired(self) -> None:
        now = time.monotonic()
        for lock in [lock for lock in self._abandoned if lock.until <= now]:
            self._abandoned.remove(lock)
            await lock.channel.link.aclose()

    async def _after_lock(self, channel: Channel, until: float) -> None:
        if channel.talk.state is State.LOCKED:
            # Closing now would make git-annex drop the lock with its retention.
            self._abandoned.append(_Abandoned(channel, until))
        elif self._channel is None:
            self._channel = channel
        else:
            await channel.link.aclose()

    @asynccontextmanager
    async def get(self, key: Key, offset: int, name: bytes) -> AsyncIterator[Payload]:
        channel, answer = await self._ask(
            m.Get(offset, name, key), self._limits.turn(key.size)
        )
        answer = _unless_error(answer)
        if not isinstance(answer, m.Data):
            raise PeerFailed(name=self.name, detail="it sent no content")
        payload = channel.incoming(answer.length)
        payload.source = self.name
        payload.verdict = _trusting_nobody(self.name, payload.verdict)
        try:
            yield payload
        finally:
            if payload.remaining or channel.talk.state is not State.ACKNOWLEDGING:
                self._abandon()
            else:
                channel.say(m.Success() if payload.kept else m.Failure())
                await self._flush(channel)

    @asynccontextmanager
    async def put(
        self, key: Key, name: bytes
    ) -> AsyncIterator[PeerIntake | AlreadyHave]:
        channel, answer = await self._ask(m.Put(name, key), self._limits.turn(key.size))
        answer = _unless_error(answer)
        if isinstance(answer, m.AlreadyHave):
            yield AlreadyHave()
        elif isinstance(answer, m.AlreadyHavePlus):
            yield AlreadyHave(tuple(answer.uuids))
        elif isinstance(answer, m.PutFrom) and answer.offset >= 0:
            try:
                storing = self._limits.storing(key.size or 0)
                yield PeerIntake(self.name, channel, answer.offset, storing)
            finally:
                await self._after_put(channel)
        else:
            raise PeerFailed(name=self.name, detail="it gave no offset")

    async def _after_put(self, channel: Channel) -> None:
        if channel.talk.state is State.OFFERED:
            channel.say(m.Error(b"the client sent nothing"))
            await self._flush(channel)
        elif channel.talk.state is not State.IDLE:
            await self._drop_now()

    async def _flush(self, channel: Channel) -> None:
        try:
            await channel.flush()
        except LinkClosed:
            await self._drop_now()
        except BaseException:
            # Half of a line may be out.
            self._abandon()
            raise


def _unless_error(answer: m.Message) -> m.Message:
    if isinstance(answer, m.Error):
        raise PeerRefused(detail=answer.text)
    return answer


def _trusting_nobody(
    name: str,
    verdict: Callable[[], Awaitable[Validity]],
) -> Callable[[], Awaitable[Validity]]:
    async def said() -> Validity:
        try:
            return await verdict()
        except (LinkError, ProtocolError) as error:
            log.warning("%s", PeerFailed(name=name, detail=error))
            return Validity.INVALID

    return said
