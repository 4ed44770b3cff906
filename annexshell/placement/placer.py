"""Where content belongs, for one session of a cluster (spec 04 §11).

Light: most clusters have no preferred content. `sight` has what decides where there is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING

from annexshell.errors import AnnexshellError
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.branch import Branch
from annexshell.repository.open import Repository

if TYPE_CHECKING:
    from annexshell.placement.sight import Outlook, Sight

_DECIDE = (b"preferred-content.log", b"required-content.log", b"maxsize.log")
"""While these say nothing, everybody wants everything and has room."""


class Unlimited:
    """The `View` where nothing is configured."""

    def wants(self, uuid: UUID) -> bool:
        """See `View`, as for all methods here."""
        return True

    def left(self, uuid: UUID) -> int | None:
        return None


class RepositoryPlacer:
    """The `Placer` of a gateway's repository. Any thread may call; they take turns.

    Nothing of sizes is loaded, opened or locked while no node has a maxsize and none has
    an expression that goes by sizes.
    """

    def __init__(self, repository: Repository, branch: Branch) -> None:
        self._repository = repository
        self._branch = branch
        self._outlook: Outlook | None = None
        self._nothing_said: object = None
        # A session's requests come one by one, but a thread may outlast its request.
        self._lock = threading.RLock()

    def place(
        self,
        key: Key,
        name: bytes,
        choose: Callable[[Sight | Unlimited], Collection[UUID]],
    ) -> Room:
        """See `Placer`. Raises what ``choose`` raises, with nothing reserved."""
        with self._lock:
            if self._outlook is None and self._says_nothing():
                choose(Unlimited())
                return Room(self, key, reserved=False)
            return Room(self, key, reserved=self._look().place(key, name, choose))

    def reserve(self, key: Key, uuids: Collection[UUID]) -> None:
        """Speak for room that `place` has not chosen; never raises."""
        with self._lock:
            self._look().reserve(key, uuids)

    def release(self, key: Key) -> None:
        """Free what is still reserved for the key; never raises."""
        with self._lock:
            if self._outlook is not None:
                self._outlook.release(key)

    def close(self) -> None:
        """Free everything, at the session's end; doing it twice is harmless."""
        with self._lock:
            if self._outlook is not None:
                self._outlook.close()
                self._outlook = None

    def _says_nothing(self) -> bool:
        try:
            source = self._branch.source(_DECIDE)
            if source != self._nothing_said:
                if any(self._branch.read(path) for path in _DECIDE):
                    return False
                self._nothing_said = source
            return True
        except AnnexshellError:
            # The other way says in the log what cannot be read.
            return False

    def _look(self) -> Outlook:
        if self._outlook is None:
            from annexshell.placement.sight import Outlook

            self._outlook = Outlook(self._repository, self._branch)
        return self._outlook


class Room:
    """What is reserved for one key: a `Reservation`."""

    def __init__(self, placer: RepositoryPlacer, key: Key, *, reserved: bool) -> None:
        self._placer = placer
        self._key = key
        self._reserved = reserved

    def add(self, uuids: Collection[UUID]) -> None:
        """See `Reservation`, as for all methods here."""
        if self._reserved and uuids:
            self._placer.reserve(self._key, uuids)

    def close(self) -> None:
        if self._reserved:
            self._reserved = False
            self._placer.release(self._key)

    def __enter__(self) -> Room:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
