"""The commands inannex and dropkey (spec 01 §1.8, spec 02 §7.4, §11, §15)."""

from __future__ import annotations

from annexshell.cli.commands import Invocation
from annexshell.cli.errors import ForceNeeded, PresenceUnknown
from annexshell.cli.keys import LocationLog, open_here, parse_key
from annexshell.cli.output import tell
from annexshell.errors import (
    ConfigUnreadable,
    MalformedKey,
    NotARepository,
    RequestError,
    StorageFailed,
    Unsupported,
    UnsupportedVersion,
)
from annexshell.model.clock import boot_seconds, parse_clock
from annexshell.model.key import Key
from annexshell.repository.content import Content
from annexshell.repository.dropping import Trash
from annexshell.repository.open import Repository

_UNTOLD = (
    *(OSError, StorageFailed, NotARepository, ConfigUnreadable),
    *(Unsupported, UnsupportedVersion),
)
"""Troubles that say nothing about content; exit code 1 would say that it is absent."""


def inannex(invocation: Invocation) -> int:
    """0 if all keys are present, else 1: the first one that is not decides.

    Raises PresenceUnknown (exit code 100) where that cannot be told, MalformedKey, and
    ShellError.
    """
    try:
        content = Content(open_here(invocation))
        words = invocation.parameters.positional
        return 0 if all(_present(content, parse_key(word)) for word in words) else 1
    except _UNTOLD as error:
        raise PresenceUnknown(where=invocation.path, detail=error) from error


def _present(content: Content, key: Key) -> bool:
    if not content.present(key):
        return False
    if content.being_removed(key):
        raise PresenceUnknown(where=key, detail="it is locked for removal")
    return True


def dropkey(invocation: Invocation) -> int:
    """Remove the keys' content, as REMOVE does; 1 if one of them is still here.

    Each key is on its own, and what keeps one is told on stderr. Raises ForceNeeded and
    ShellError.
    """
    repository = open_here(invocation)
    if "--force" not in invocation.parameters.flags:
        raise ForceNeeded()
    # inannex, which clients run far more often, needs nothing of it.
    from annexshell.cli.audited import audit_of
    from annexshell.repository.audit import REMOVED

    audit = audit_of(repository, invocation.surroundings, invocation.parameters)
    content, log = Content(repository), LocationLog(invocation, repository)
    trash = _trash(invocation, repository)
    status = 0
    for word in invocation.parameters.positional:
        try:
            key = parse_key(word)
            with audit.request("dropkey", key=key.text) as entry:
                _drop(content, log, key, trash)
                entry.outcome = REMOVED
        except (RequestError, MalformedKey) as error:
            tell(error)
            status = 1
    if log.changed:
        content.annex.hooks.content_changed(repository.path)
    return status


def _trash(invocation: Invocation, repository: Repository) -> Trash | None:
    """Where dropped content goes first, None without annex.trashbin."""
    if not repository.config.get("annex.trashbin"):
        return None
    # It brings all that reaches remotes.
    from annexshell.serve.trashbin import trash_of

    clock = invocation.surroundings.clock
    return trash_of(repository, None if clock is None else parse_clock(clock))


def _drop(content: Content, log: LocationLog, key: Key, trash: Trash | None) -> None:
    content.remove(
        key,
        None,
        boot_seconds,
        prepare=lambda: log.check(key),
        record=lambda: log.record(key, False),
        trash=trash,
    )
