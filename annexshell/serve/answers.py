"""What is answered to each request: one coroutine a request, over whatever Store.

No state outlives a request. A RequestError that leaves a coroutine becomes an ERROR line
in `connection`; so it may only leave while an answer is due, which is why PUT, once bytes
are on their way, catches it here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import attrs

from annexshell.errors import (
    BadOffset,
    LinkClosed,
    Malformed,
    NotAvailable,
    OutOfTurn,
    RequestError,
)
from annexshell.model.ids import UUID
from annexshell.model.payload import Payload, Validity
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import State
from annexshell.protocol.versions import agreed, reduced
from annexshell.repository.audit import (
    ABANDONED,
    ENDED,
    UNLOCKED,
    WITHDRAWN,
    Audit,
    Entry,
)
from annexshell.serve.audit import NOWHERE, Noted, note
from annexshell.store import AlreadyHave, Intake, Looking, Outcome, Store, at_once
from annexshell.transport import moving
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link

log = logging.getLogger("annexshell.serve")

Negotiate = Callable[[int], Awaitable[int]]
Service = Callable[[Channel, bytes], Awaitable[None]]
Refuse = Callable[[m.Message], None]
Bypass = Callable[[tuple[UUID, ...]], None]
Watch = Callable[[Channel], Awaitable[tuple[bytes, ...]]]


async def nothing_to_do() -> None:
    """What a session does where there is nothing to do."""


def nobody_listens(uuids: tuple[UUID, ...]) -> None:
    """What becomes of a BYPASS where no cluster is asked."""


async def our_version(asked: int) -> int:
    """The version of a session that we answer ourselves."""
    return agreed(asked)


@attrs.define
class Session:
    """One client: its channel, who answers for it, and what it may ask.

    ``refuse`` raises the RequestError for a request that the server's mode forbids.
    ``rest`` is what to do while the client is silent after changing something, which is what
    ``changed`` tells. ``watch`` waits for changes of refs. ``bypass`` hears what the client
    says straight behind its VERSION. ``distant`` is true where others are behind ``store``
    that may have to be waited for. ``noted`` is what ``audit`` will be told of the request
    at hand. ``look`` is what `at_once` makes of ``store``.
    """

    channel: Channel
    store: Store
    refuse: Refuse
    negotiate: Negotiate = our_version
    service: Service | None = None
    rest: Callable[[], Awaitable[None]] = nothing_to_do
    changed: bool = False
    watch: Watch | None = None
    bypass: Bypass = nobody_listens
    introducing: bool = False
    distant: bool = False
    audit: Audit = NOWHERE
    noted: Noted = attrs.field(factory=lambda: note(NOWHERE, m.Bypass()))
    _asked: type[m.Message] = attrs.field(init=False, default=m.Message)
    look: Looking = attrs.field(init=False)
    _debug: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.look = at_once(self.store)
        self._debug = log.isEnabledFor(logging.DEBUG)

    def heard(self) -> AbstractAsyncContextManager[Callable[[], None]]:
        """A block that ends with LinkClosed when nobody listens to the answer any more.

        What is yielded says that nobody else is waited for. Without others to wait for, it
        is not worth a task for each request.
        """
        if self.distant:
            return self.channel.attention.attended(Link.unheard)
        return _UNHEARD

    def begin(self, request: m.Message) -> Entry:
        """Note a request; the end of the entry's block is the end of the request."""
        if self._debug:
            log.debug("asked for %r", request)
        self.introducing = self._asked is m.Version and self.channel.version >= 2
        self._asked = type(request)
        self.noted = note(self.audit, request)
        return self.noted.entry

    def reply(self, message: m.Message) -> None:
        """Send an answer, in the form that the client's version knows."""
        self.noted.answered(message)
        self.channel.say(reduced(message, self.channel.talk.version))

    def complain(self, error: Exception) -> None:
        """Answer with ERROR."""
        self.noted.entry.failed(error)
        self.channel.say(m.Error(str(error).encode()))


def _nothing() -> None:
    """What there is to stop where nobody is watched."""


_UNHEARD = nullcontext(_nothing)


Answer = Callable[[Session, Any], Awaitable[None]]


async def _version(session: Session, request: m.Version) -> None:
    session.reply(m.Version(await session.negotiate(request.number)))


async def _bypass(session: Session, request: m.Bypass) -> None:
    """Nothing is answered; only clusters listen, and only straight away (spec 01 §8.8)."""
    if session.introducing:
        session.bypass(tuple(request.uuids))


async def _check_present(session: Session, request: m.CheckPresent) -> None:
    present = session.look(request.key)
    if present is None:
        async with session.heard():
            present = await session.store.present(request.key)
    session.reply(_SUCCESS if present else _FAILURE)


async def _lock_content(session: Session, request: m.LockContent) -> None:
    async with session.store.lock(request.key) as held:
        if held is None:
            session.reply(_FAILURE)
            return
        session.reply(_SUCCESS)
        session.noted.locked()
        try:
            await session.channel.receive()
        except (Malformed, OutOfTurn) as error:
            # The locker was promised its time; only UNLOCKCONTENT gives it back.
            session.complain(error)
            session.noted.entry.outcome = ABANDONED
            return
        await held.unlock()
        session.noted.entry.outcome = UNLOCKED


async def _remove(session: Session, request: m.Remove | m.RemoveBefore) -> None:
    session.changed = True
    before = request.timestamp if isinstance(request, m.RemoveBefore) else None
    outcome = await session.store.remove(request.key, before)
    session.reply(_result(session, outcome))


async def _get_timestamp(session: Session, request: m.GetTimestamp) -> None:
    session.reply(m.Timestamp(await session.store.timestamp()))


async def _get(session: Session, request: m.Get) -> None:
    if request.offset < 0:
        raise BadOffset(offset=request.offset)
    store = session.store
    async with (
        session.heard() as ready,
        store.get(request.key, request.offset, request.name) as payload,
    ):
        # Until now somebody may have been waited for.
        ready()
        session.noted.delivering(payload)
        await session.channel.outgoing(payload, request.offset)
        try:
            answer = await session.channel.receive()
        except (Malformed, OutOfTurn) as error:
            session.complain(error)
            return
        payload.kept = isinstance(answer, m.Success | m.SuccessPlus)
        session.noted.acknowledged(answer)


async def _put(session: Session, request: m.Put) -> None:
    session.changed = True
    async with (
        session.channel.attention.attended() as ready,
        session.store.put(request.key, request.name) as intake,
    ):
        # Until now somebody else may have been receiving it.
        ready()
        if isinstance(intake, AlreadyHave):
            result: m.Message | None = _already_have(intake)
        else:
            session.noted.entry.offset = intake.offset
            session.reply(m.PutFrom(intake.offset))
            result = await _take_in(session, intake)
    if result is None:
        return
    if session.channel.talk.state is State.UPLOADED:
        # The client left without a verdict: no answer is due, but it happened.
        session.noted.answered(result)
        return
    # Said only now that the store has let go of its locks.
    session.reply(result)


async def _take_in(session: Session, intake: Intake) -> m.Message | None:
    try:
        message = await session.channel.receive()
    except (Malformed, OutOfTurn) as error:
        return _failure(session, error)
    try:
        if isinstance(message, m.DataPresent):
            return _result(session, await intake.adopt())
        if isinstance(message, m.Data):
            return _result(session, await _receive(session, intake, message.length))
    except RequestError as error:
        log.warning("%s", error)
        return _failure(session, error)
    # The client's own ERROR: it could not send after all.
    session.noted.entry.outcome = WITHDRAWN
    return None


async def _receive(session: Session, intake: Intake, length: int) -> Outcome:
    payload = session.channel.incoming(length)
    session.noted.moving(payload)
    inner = payload.verdict

    async def verdict() -> Validity:
        return await _verdict(session, inner)

    payload.verdict = verdict
    try:
        return await intake.accept(payload)
    finally:
        await _finish_reading(session, payload)


async def _verdict(
    session: Session, inner: Callable[[], Awaitable[Validity]]
) -> Validity:
    """What the client said of its bytes; what is no verdict does not vouch for them."""
    try:
        return await inner()
    except (Malformed, OutOfTurn) as error:
        session.complain(error)
    except LinkClosed as error:
        # Nobody is left to be answered, but the bytes are all here.
        log.debug("%s, without a verdict", error)
    return Validity.INVALID


async def _finish_reading(session: Session, payload: Payload) -> None:
    """After a store gave up: what the client still sends is not the next request."""
    await moving.drain(payload)
    if session.channel.talk.state is State.UPLOADED:
        await payload.verdict()


async def _connect(session: Session, request: m.Connect) -> None:
    if session.service is None:
        raise NotAvailable(request=request.word, detail="clone from the gateway itself")
    await session.service(session.channel, request.service)
    session.noted.entry.outcome = ENDED


async def _notify_change(session: Session, request: m.NotifyChange) -> None:
    if session.watch is None:
        raise NotAvailable(request=request.word, detail="use git fetch to see changes")
    if session.changed:
        # What this client did would else wait in the journal as long as the client does.
        session.changed = False
        await session.rest()
    session.reply(m.Changed(await session.watch(session.channel)))


async def _gave_up(session: Session, request: m.Error) -> None:
    log.debug("the client ended with an error: %r", request.text)


_SUCCESS, _FAILURE = m.Success(), m.Failure()

ANSWERS: dict[type[m.Message], Answer] = {
    m.Version: _version,
    m.Bypass: _bypass,
    m.CheckPresent: _check_present,
    m.LockContent: _lock_content,
    m.Remove: _remove,
    m.RemoveBefore: _remove,
    m.GetTimestamp: _get_timestamp,
    m.Get: _get,
    m.Put: _put,
    m.Connect: _connect,
    m.NotifyChange: _notify_change,
    m.Error: _gave_up,
}


def _already_have(answer: AlreadyHave) -> m.Message:
    return m.AlreadyHavePlus(answer.others) if answer.others else m.AlreadyHave()


def _failure(session: Session, error: Exception) -> m.Message:
    session.noted.entry.failed(error)
    return m.Error(str(error).encode())


def _result(session: Session, outcome: Outcome) -> m.Message:
    if outcome.reason:
        log.warning("%s", outcome.reason)
        session.noted.entry.reason = outcome.reason
    if outcome.ok:
        return m.SuccessPlus(outcome.others) if outcome.others else m.Success()
    return m.FailurePlus(outcome.others) if outcome.others else m.Failure()
