"""One client from its first line to its last."""

from __future__ import annotations

import logging

from annexshell.errors import (
    LineTooLong,
    LinkClosed,
    LinkError,
    LinkStalled,
    Malformed,
    OutOfTurn,
    RequestError,
)
from annexshell.model.ids import UUID
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import State
from annexshell.serve.answers import ANSWERS, Session

log = logging.getLogger("annexshell.serve")

REST = 1.0
"""Seconds of silence after which what was changed is committed (spec 03 §12.3)."""
SHOWN = (m.CheckPresent, m.Remove, m.RemoveBefore)
"""Requests whose ERROR is shown by clients,"""
SHOWS_ERRORS = 4
"""from this version of the protocol on, for all we know."""


class Unanswerable(LinkError):
    """Clients older than version 4 take ERROR for absence, and record that."""

    text = "{detail} (the client is too old to be told so and to go on)"


async def converse(session: Session, uuid: UUID, *, greeted: bool = False) -> int:
    """Greet the client as ``uuid`` and answer until it leaves; the exit code.

    With ``greeted`` the first line was sent before we were loaded.
    """
    greeting = m.AuthSuccess(uuid)
    if greeted:
        session.channel.talk.sent(greeting)
    else:
        session.channel.say(greeting)
    try:
        await _answer_all(session)
    except LinkStalled as error:
        # It may be alive after all, and would wait for ever for what we owe it.
        log.warning("%s: ended the session", error)
        return 1
    except LinkClosed as error:
        log.debug("%s", error)
        # A client that leaves between two requests has done nothing wrong.
        return 0 if session.channel.idle else 1
    except (LinkError, LineTooLong) as error:
        log.warning("%s: ended the session", error)
        return 1
    return 0


async def _rest(session: Session) -> None:
    """A journal that waits for the end of a long session waits too long (spec 03 §11.1)."""
    if await session.channel.silent(REST):
        session.changed = False
        await session.rest()


async def _answer_all(session: Session) -> None:
    """One request after the other, as long as the client has any."""
    channel, talk = session.channel, session.channel.talk
    while talk.state is not State.CLOSED:
        if session.changed:
            await _rest(session)
        try:
            request = await channel.receive()
            try:
                with session.begin(request):
                    session.refuse(request)
                    await ANSWERS[type(request)](session, request)
            except RequestError as error:
                _tell(session, request, error)
                session.complain(error)
        except (Malformed, OutOfTurn) as error:
            session.complain(error)
    await channel.flush()


def _tell(session: Session, request: m.Message, error: RequestError) -> None:
    """Have the person at the client read the reason, once (spec 01 §13.1).

    Of ERROR, clients show the text to some requests only, and old ones to none: what they
    do not show is said on stderr. Raises Unanswerable where ERROR would be misread.
    """
    told = session.channel.version >= SHOWS_ERRORS
    if not told and isinstance(request, m.CheckPresent):
        raise Unanswerable(detail=error)
    if not told or not isinstance(request, SHOWN):
        log.warning("%s", error)
