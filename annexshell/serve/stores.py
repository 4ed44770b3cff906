"""Who answers for the session's uuid, made ready to serve and to be closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from annexshell.local.aside import TrashBin
from annexshell.local.store import LocalStore
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID
from annexshell.repository.open import Repository
from annexshell.serve.answers import (
    Bypass,
    Negotiate,
    nobody_listens,
    nothing_to_do,
    our_version,
)
from annexshell.store import Store


@attrs.frozen
class Served:
    """A Store, what to do when the client has left, and how to agree on a version."""

    store: Store
    settle: Callable[[], Awaitable[None]]
    """Commits what was recorded; also while the client is silent for a moment."""
    close: Callable[[], Awaitable[None]] = nothing_to_do
    negotiate: Negotiate = our_version
    bypass: Bypass = nobody_listens
    """Hears which repositories the client, if it is a gateway, asks by itself."""


def trash_for(repository: Repository, clock: Clock | None) -> TrashBin | None:
    """Where a session's drops go first, None if they are just dropped."""
    if not repository.config.get("annex.trashbin"):
        return None
    # Few repositories have one, and it brings all that reaches remotes.
    from annexshell.serve.trashbin import RemoteTrash

    return RemoteTrash(clock)


def local(repository: Repository, client: UUID, clock: Clock | None) -> Served:
    """The repository itself."""
    trash = trash_for(repository, clock)
    store = LocalStore(repository, client, clock, trash, alone=True)
    return Served(store, store.settle, store.aclose)
