"""What every session does first, done once before there is one.

A process that was forked ahead has time: the pages that a session writes to are copied, and
the code that it runs is warm, before anybody waits for it. That is most of what a warm start
takes. Nothing is left of it: no task, no handler, no descriptor, no word in any log.

It is played on a `stage`: a gateway and a node of nobody's, which hold nothing and are only
asked. No session can name them before they are gone again, and none is served by them.
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
from annexshell.serve.start import session_of, store_for
from annexshell.serve.watching import Watching
from annexshell.transport.link import Link

GATEWAY, NODE = "gateway", "node"
_UUIDS = {
    GATEWAY: UUID(b"00000000-0000-4000-8000-000000000000"),
    NODE: UUID(b"00000000-0000-4000-8000-000000000001"),
}
CLIENT = UUID(b"00000000-0000-4000-8000-000000000002")
_SAID = b"VERSION 4\nCHECKPRESENT SHA256E-s0--" + b"0" * 64 + b"\n"
_PROXIED = b"1s %b %b:node\n" % (_UUIDS[GATEWAY], _UUIDS[NODE])


def prepare(stage: str) -> None:
    """Make the repositories in ``stage``, a directory that is there. Raises OSError."""
    for name, uuid in _UUIDS.items():
        top = os.path.join(stage, name)
        for part in ("objects", "refs", "annex/journal"):
            os.makedirs(os.path.join(top, part), 0o700)
        _write(f"{top}/HEAD", b"ref: refs/heads/main\n")
        _write(f"{top}/config", _CONFIG % uuid)
    _write(f"{stage}/{GATEWAY}/config", _CONFIG % _UUIDS[GATEWAY] + _REMOTE)
    _write(f"{stage}/{GATEWAY}/annex/journal/proxy.log", _PROXIED)


_CONFIG = b"""[core]
\trepositoryformatversion = 0
\tbare = true
[annex]
\tuuid = %b
\tversion = 10
"""
_REMOTE = b"""[remote "node"]
\turl = ../node
\tannex-uuid = 00000000-0000-4000-8000-000000000001
\tannex-proxy = true
"""


def _write(path: str, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def rehearse(stage: str) -> list[bytes]:
    """Be asked by ourselves, for the gateway and for its node; what we were told.

    Raises OSError and AnnexshellError.
    """
    gateway = open_repository(os.path.join(stage, GATEWAY))
    require_served(gateway)
    return [_one(gateway, asked) for asked in (None, _UUIDS[NODE])]


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
    """As a session goes, without an end: there is nothing to settle."""
    served, watching = store_for(request, None), Watching(request.repository)
    session = session_of(request, served, link, watching)
    async with trio.open_nursery():
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            await trio.lowlevel.checkpoint()
            await converse(session, request.asked or request.repository.uuid)
    await link.aclose()
