"""CONNECT: git's own protocol inside ours (spec 01 §5.7)."""

from __future__ import annotations

import logging
import os

import trio

from annexshell.errors import (
    LinkClosed,
    LinkError,
    LinkStalled,
    NotAvailable,
    PayloadStalled,
    ProtocolError,
)
from annexshell.local.store import settle_branch
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import State
from annexshell.repository.branch import Branch
from annexshell.serve.answers import Service
from annexshell.serve.request import SessionRequest
from annexshell.transport import moving
from annexshell.transport.channel import Channel
from annexshell.transport.child import open_child
from annexshell.transport.link import Link

log = logging.getLogger("annexshell.serve")

_CHUNK = 1 << 16


def git_service(request: SessionRequest) -> Service:
    """What runs a git service for one session, on its repository and no other."""

    async def run(channel: Channel, service: bytes) -> None:
        if request.restrictions.limited:
            detail = "it is blocked by GIT_ANNEX_SHELL_LIMITED"
            raise NotAvailable(request="CONNECT", detail=detail)
        name = os.fsdecode(service)
        argv = ["git", name.removeprefix("git-"), request.repository.path]
        if name == "git-receive-pack":
            # What waits in the journal would be put over what is pushed: see cli.pushing.
            await settle_branch(Branch(request.repository))
        child = await open_child(argv, name)
        try:
            await _relay(channel, child)
        finally:
            await child.aclose()
        if channel.talk.state is State.CONNECTED:
            code = child.process.returncode
            channel.say(m.ConnectDone(1 if code is None else code))

    return run


async def _relay(channel: Channel, child: Link) -> None:
    """DATA in both directions, until the service has said all or the client is gone.

    Raises LinkStalled and PayloadStalled of the client.
    """
    stalled: list[LinkError] = []
    async with trio.open_nursery() as nursery:

        async def to_child() -> None:
            try:
                await _to_child(channel, child)
            except (LinkStalled, PayloadStalled) as error:
                # The service may be waiting for something else than its input.
                stalled.append(error)
                nursery.cancel_scope.cancel()

        nursery.start_soon(to_child)
        try:
            while chunk := await child.read(_CHUNK):
                await channel.send_piece(chunk)
        except LinkClosed as error:
            log.debug("%s", error)
        nursery.cancel_scope.cancel()
    if stalled:
        raise stalled[0]


async def _to_child(channel: Channel, child: Link) -> None:
    """What the client says goes to the service; its end, or nonsense, ends the input."""
    try:
        while isinstance(message := await channel.listen(), m.Data):
            await moving.send(channel.incoming(message.length), child)
    except (LinkStalled, PayloadStalled):
        raise
    except (LinkError, ProtocolError) as error:
        # Whoever it was that ended, the task that reads from the service notices.
        log.debug("%s", error)
    child.close_writing()
