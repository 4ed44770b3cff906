"""What every session does first, done once before there is one.

A process that was forked ahead has time: the pages that a session writes to are copied, and
the code that it runs is warm, before anybody waits for it. That is most of what a warm start
takes. Nothing is left of it: no task, no handler, no descriptor, no word in any log.

It is played on a `stage`, whose repositories are only asked. No session can name them before
they are gone again, and none is served by them.
"""

from __future__ import annotations

import logging
import os
import signal

import trio

from annexshell.model.ids import UUID
from annexshell.policy.restrictions import Restrictions
from annexshell.repository.open import Repository, open_repository
from annexshell.repository.supported import require_served
from annexshell.serve.connection import converse
from annexshell.serve.debugging import begin_logging
from annexshell.serve.request import SessionRequest
from annexshell.serve.stage import CLUSTER, GATEWAY, KEY, NODE, UUIDS
from annexshell.serve.start import session_of, store_for
from annexshell.serve.watching import Watching
from annexshell.transport.link import Link

CLIENT = UUID(b"00000000-0000-4000-8000-000000000003")
_SAID = b"VERSION 4\nCHECKPRESENT %b\n" % KEY


def rehearse(stage: str) -> list[bytes]:
    """Be asked by ourselves, for the gateway, its node and its cluster; what we were told.

    At ``stage`` is what `stage.prepare` made. Raises OSError and AnnexshellError.
    """
    gateway = open_repository(os.path.join(stage, GATEWAY))
    require_served(gateway)
    return [_one(gateway, asked) for asked in (None, UUIDS[NODE], CLUSTER)]


def _one(gateway: Repository, asked: UUID | None) -> bytes:
    request = SessionRequest(gateway, CLIENT, asked, Restrictions())
    begin_logging(request)
    logging.getLogger().handlers.clear()
    reading, saying = os.pipe()
    hearing, writing = os.pipe()
    os.write(saying, _SAID)
    os.close(saying)
    try:
        trio.run(_asked, request, Link(reading, writing, "ourselves"))
        return os.read(hearing, 1 << 12)
    finally:
        os.close(hearing)


async def _asked(request: SessionRequest, link: Link) -> None:
    """As a session goes. There is nothing to settle at its end."""
    served, watching = store_for(request, None), Watching(request.repository)
    session = session_of(request, served, link, watching)
    async with trio.open_nursery():
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            await trio.lowlevel.checkpoint()
            await converse(session, request.asked or request.repository.uuid)
    await link.aclose()
    await served.close()
