"""The notifychanges command: tells a client at once what was pushed (spec 01 §5.7).

``READY``, then a line ``CHANGED SHA`` for each new value of a ref, until the client closes
our stdin. What it says is ignored. Of a line with several ids git-annex fetches nothing if
it has but one of them, so each gets a line of its own.
"""

from __future__ import annotations

import os
import select

from annexshell.cli.commands import Invocation
from annexshell.cli.configlist import has_annex_branch
from annexshell.cli.identity import foreign_uuid
from annexshell.errors import BadParameters, NotAnAnnex
from annexshell.model.writing import write_all
from annexshell.repository.open import Repository, open_repository
from annexshell.repository.watching import MERGE, RefWatcher

_CHUNK = 65536


def notifychanges(invocation: Invocation) -> int:
    """Report changes of refs on stdout until stdin ends; the result is the exit status.

    For a proxied remote these are the gateway's own refs. Raises ShellError and
    RequestError (CannotWatch, RefsGone).
    """
    if invocation.parameters.positional:
        raise BadParameters(detail="notifychanges takes no parameters")
    repository = open_repository(invocation.path)
    asked = foreign_uuid(repository, invocation.parameters.uuid)
    _require_annex(repository)
    if asked is not None:
        # Only a gateway's clients wait for all this to be loaded.
        from annexshell.repository.branch import Branch
        from annexshell.serve.proxied import remote_for

        remote_for(repository, asked, Branch(repository))
    with RefWatcher(repository) as watcher:
        write_all(1, b"READY\n")
        _tell(watcher.existing())
        _report(watcher)
    return 0


def _require_annex(repository: Repository) -> None:
    config = repository.config
    if repository.uuid or config.get("annex.version") or config.get("core.gcrypt-id"):
        return
    if not has_annex_branch(repository):
        raise NotAnAnnex(path=repository.path)


def _tell(shas: list[bytes]) -> None:
    write_all(1, b"".join(b"CHANGED " + sha + b"\n" for sha in shas))


def _report(watcher: RefWatcher) -> None:
    """Tell of changes until the client is gone."""
    client = select.poll()
    client.register(0, select.POLLIN)
    client.register(1, 0)  # a client that reads no more is an error on our output
    anything = select.poll()
    anything.register(0, select.POLLIN)
    anything.register(1, 0)
    anything.register(watcher.fileno(), select.POLLIN)
    while True:
        ready = anything.poll()
        if _has_left(ready):
            return
        if any(fd == watcher.fileno() for fd, _ in ready) and watcher.woken():
            if _has_left(client.poll(MERGE * 1000)):
                return
            # Taken before the refs are read: what comes later wakes us again.
            watcher.woken()
            _tell(watcher.changes())


def _has_left(ready: list[tuple[int, int]]) -> bool:
    for fd, events in ready:
        if fd == 1:
            return True
        if fd == 0 and (not events & select.POLLIN or not os.read(0, _CHUNK)):
            return True
    return False
