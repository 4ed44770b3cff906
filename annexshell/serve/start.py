"""From a checked request to a session, and from its end to an exit code."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Awaitable, Callable

import trio

from annexshell.errors import AnnexshellError, RequestError
from annexshell.model.clock import Clock, parse_clock
from annexshell.model.ids import UUID
from annexshell.policy.modes import refusal, refused
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import Role
from annexshell.repository.audit import Audit, new_session
from annexshell.repository.config import GitConfig
from annexshell.repository.timeouts import idle_timeout, stall_timeout
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.serve.debugging import begin_logging
from annexshell.serve.request import InternalError, SessionRequest
from annexshell.serve.services import git_service
from annexshell.serve.stores import Served, local
from annexshell.serve.watching import Watching
from annexshell.transport import zerocopy
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from annexshell.transport.stdio import take_stdio

log = logging.getLogger("annexshell.serve")

_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_CUT_OFF = 1
_LINGER = 2
"""Milliseconds to wait for the client's next word before others have their turn."""
_SETTLING = 60.0
"""Seconds that committing the journal may take at the end; the journal waits if not."""


def serve(request: SessionRequest) -> int:
    """Serve one client on our stdio until it leaves; the exit code.

    Raises ShellError and RequestError before anything was said to the client.
    """
    request = request._replace(session=new_session())
    begin_logging(request)
    zerocopy.allowed = request.repository.config.boolean("annexshell.zerocopy", True)
    clock = None if request.clock is None else parse_clock(request.clock)
    served = store_for(request, clock)
    link = take_stdio()
    uuid = request.asked or request.repository.uuid
    # What was loaded stays; nobody needs to look through it again and again.
    gc.freeze()
    gc.enable()
    try:
        return trio.run(_session, request, served, link, uuid)
    except Exception as error:
        # A mistake of ours; the person at the client can do nothing with a traceback.
        leaf = _leaf(error)
        mistake = InternalError(kind=type(leaf).__name__, detail=leaf)
        log.critical("%s", mistake, exc_info=request.debug)
        return mistake.exit_code


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def store_for(request: SessionRequest, clock: Clock | None) -> Served:
    """Who answers what is asked. Raises what `proxied` does."""
    if request.asked is None:
        return local(request.repository, request.client, clock)
    # Most sessions are with the repository itself and need none of this.
    from annexshell.serve.proxied import proxied

    keeper = request.keeper
    return proxied(request.repository, request.asked, clock, request.client, keeper)


async def _session(
    request: SessionRequest, served: Served, link: Link, uuid: UUID
) -> int:
    watching = Watching(request.repository)
    session = session_of(request, served, link, watching)
    code = _CUT_OFF
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_end_on_signal, nursery.cancel_scope)
            code = await converse(session, uuid, greeted=request.greeted)
            nursery.cancel_scope.cancel()
    finally:
        watching.close()
        # Nobody listens any more: whoever waits for our end of the pipes need not longer.
        await link.aclose()
        # Also after a mistake of ours: what was promised at nodes ends with their links.
        await _finish(served)
    return code


def session_of(
    request: SessionRequest, served: Served, link: Link, watching: Watching
) -> Session:
    """What `converse` serves to whoever is at the other end of ``link``."""
    session = Session(
        Channel(link, Role.SERVER),
        served.store,
        _refuser(request),
        served.negotiate,
        git_service(request) if request.asked is None else None,
        served.settle,
        watch=watching.changed,
        bypass=served.bypass,
        audit=_audit(request),
        distant=request.asked is not None,
    )
    _bound(session.channel, request.repository.config)
    return session


def _bound(channel: Channel, config: GitConfig) -> None:
    channel.linger, link = _LINGER, channel.link
    link.idle, link.stall = idle_timeout(config), stall_timeout(config)


def _audit(request: SessionRequest) -> Audit:
    return Audit.of(
        request.repository,
        session=request.session,
        user=request.user,
        connection=request.connection,
        client=request.client,
        proxied=request.asked or b"",
    )


def _refuser(request: SessionRequest) -> Callable[[m.Message], None]:
    table = refused(request.restrictions)

    def refuse(message: m.Message) -> None:
        if message.word not in table:
            return
        service = message.service if isinstance(message, m.Connect) else b""
        error = refusal(table, message.word, service)
        if error is not None:
            raise error

    return refuse


async def _end_on_signal(
    scope: trio.CancelScope, task_status: trio.TaskStatus[None]
) -> None:
    """A signal that would end us ends the conversation, and the journal is settled."""
    with trio.open_signal_receiver(*_ENDINGS) as signals:
        # Only then requests: one after another may leave no moment for other tasks.
        task_status.started()
        async for _ in signals:
            scope.cancel()


async def _finish(served: Served) -> None:
    """What was recorded is committed, and locks of dead lockers are seen out.

    A hangup is no reason to break promises: the client being gone is what they are for.
    """
    found = signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        with trio.move_on_after(_SETTLING):
            await _quietly(served.settle)
        await _quietly(served.close)
    finally:
        signal.signal(signal.SIGHUP, found)


async def _quietly(action: Callable[[], Awaitable[None]]) -> None:
    try:
        await action()
    except (RequestError, AnnexshellError, OSError) as error:
        log.warning("%s", error)
