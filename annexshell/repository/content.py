"""The content of one repository: everything that reads, takes in, locks or removes it.

A front for `objects`, `intake`, `locking`, `dropping` and `transfers`. Blocking; one
`Content` may be used by several threads only for different keys.
"""

from __future__ import annotations

from collections.abc import Callable

from annexshell.model.key import Key
from annexshell.repository.annex import Annex, storage
from annexshell.repository.contentlocks import SharedLock
from annexshell.repository.dropping import Dropping, Recording, Trash
from annexshell.repository.intake import Intake, begin_again, begin_intake
from annexshell.repository.locking import Locking
from annexshell.repository.objects import Found, Objects, OpenObject
from annexshell.repository.open import Repository
from annexshell.repository.placing import Placing, Record
from annexshell.repository.transfers import Transfer, begin_upload
from annexshell.repository.waiting import Watch


class Content:
    """The keys whose content one repository has."""

    def __init__(self, repository: Repository) -> None:
        """Raises Unsupported and UnsupportedVersion."""
        self.annex = Annex(repository)
        self._objects = Objects(self.annex)
        self._locking = Locking(self.annex, self._objects)
        work_tree = None
        if repository.work_tree is not None:
            # A bare repository, the usual case, needs nothing of this.
            from annexshell.repository.worktree import WorkTree

            work_tree = WorkTree(self.annex)
        parts = (self.annex, self._objects, self._locking, work_tree)
        self._placing = Placing(*parts)
        self._dropping = Dropping(*parts)

    def present(self, key: Key) -> bool:
        """See `Objects.present`."""
        return self._objects.present(key)

    def find(self, key: Key) -> Found | None:
        """The object, be it the content or damaged; looked for twice before it is said
        that there is none. Raises StorageFailed."""
        return self._objects.find(key) or self._objects.find(key)

    def being_removed(self, key: Key) -> bool:
        """Whether somebody holds the exclusive lock now (spec 02 §7.4)."""
        place = self._objects.place(key)
        path = place.lock if self.annex.separate_locks else place.object
        with storage("looking for locks", path):
            return self.annex.locks.holder_of(path, exclusive_only=True) is not None

    def open_for_get(self, key: Key, offset: int = 0) -> OpenObject | None:
        """See `Objects.open_for_get`."""
        return self._objects.open_for_get(key, offset)

    def begin_upload(self, key: Key, *, peer: bytes, name: bytes = b"") -> Transfer:
        """See `transfers.begin_upload`; close it when all is sent."""
        return begin_upload(self.annex, key, peer, name)

    def begin_intake(
        self, key: Key, *, peer: bytes, name: bytes = b""
    ) -> Intake | None:
        """See `intake.begin_intake`."""
        return begin_intake(
            self.annex, self._objects, self._placing, key, peer=peer, name=name
        )

    def begin_again(self, key: Key, *, peer: bytes) -> Intake:
        """See `intake.begin_again`."""
        return begin_again(self.annex, self._placing, key, peer=peer)

    def watch(self, key: Key, patience: float) -> Watch:
        """See `waiting.Watch`: for a key that `begin_intake` says is being received."""
        return Watch(self.annex, key, patience)

    def adopt(self, key: Key, record: Record) -> bool:
        """See `Placing.adopt`."""
        return self._placing.adopt(key, record)

    def lock_shared(self, key: Key) -> SharedLock | None:
        """See `Locking.lock_shared`."""
        return self._locking.lock_shared(key)

    def remove(
        self,
        key: Key,
        before: int | None,
        clock: Callable[[], int],
        *,
        prepare: Callable[[], None],
        record: Record,
        recording: Recording | None = None,
        trash: Trash | None = None,
        found: Found | None = None,
    ) -> bool:
        """See `Dropping.remove`."""
        return self._dropping.remove(
            key,
            before,
            clock,
            prepare=prepare,
            record=record,
            recording=recording,
            trash=trash,
            found=found,
        )
