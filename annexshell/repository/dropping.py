"""Removing content (spec 02 §11).

The order is the safety: lock, then promises, then the deadline, then the object, then the
log. Whoever looks before holding the lock may act on what is no longer true.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from annexshell.errors import RemovalRefused
from annexshell.model.key import Key
from annexshell.repository.annex import Annex, storage
from annexshell.repository.locking import Locking
from annexshell.repository.objects import Found, Objects, status_of
from annexshell.repository.paths import ObjectPlace


class Dropping:
    """Removes content of one repository."""

    def __init__(self, annex: Annex, objects: Objects, locking: Locking) -> None:
        self._annex = annex
        self._objects = objects
        self._locking = locking

    def remove(
        self,
        key: Key,
        before: int | None,
        clock: Callable[[], int],
        *,
        prepare: Callable[[], None],
        record: Callable[[], object],
    ) -> bool:
        """Make the content absent; False if ``clock`` has reached ``before``.

        True also if it was absent. ``prepare`` raises if ``record`` could not log the
        absence. Work tree files are never touched. Raises ContentLocked, RemovalRefused,
        StorageFailed, LockTimeout, and as the callables do.
        """
        if not self._removable(key, self._objects.find(key)):
            return True
        self._refuse_trashbin(key)
        lock = self._locking.lock_exclusive(key)
        if lock is None:
            return True
        with lock:
            if not self._removable(key, self._objects.find(key)):
                return True
            prepare()
            if before is not None and clock() >= before:
                return False
            self._delete(key, lock.place)
            record()
        return True

    def _removable(self, key: Key, found: Found | None) -> bool:
        """Whether there is something that may go.

        With annex.thin an object that is not the content is what somebody is editing.
        Without, a damaged object is only in the way.
        """
        if found is None:
            return False
        return not self._annex.thin or self._objects.good(key, found)

    def _refuse_trashbin(self, key: Key) -> None:
        if self._annex.config.get("annex.trashbin"):
            raise RemovalRefused(
                key=key,
                detail="annex.trashbin is set, which is not supported yet; unset it,"
                " or use git-annex-shell here",
            )

    def _refuse_shared_erasure(self, key: Key, place: ObjectPlace) -> None:
        status = status_of(place.object)
        if self._annex.hooks.erases and status is not None and status.st_nlink > 1:
            raise RemovalRefused(
                key=key,
                detail="its file has other names, which secure erasing would destroy;"
                " drop it with git annex there",
            )

    def _delete(self, key: Key, place: ObjectPlace) -> None:
        self._refuse_shared_erasure(key, place)
        freezer = self._annex.freezer
        with (
            storage("removing content", place.object),
            freezer.thawed(place.directory),
        ):
            if self._annex.hooks.thaws or self._annex.hooks.erases:
                freezer.thaw_object(place.object)
            if self._annex.hooks.erases:
                self._erase(key, place)
            else:
                freezer.persist(place.directory, lambda: os.unlink(place.object))

    def _erase(self, key: Key, place: ObjectPlace) -> None:
        """Erase under a name that nobody takes for the content.

        Erasing takes long; if it is interrupted, half erased content must not be present.
        """
        bad = self._annex.paths.bad(key)
        self._annex.make_directories(os.path.dirname(bad))
        self._annex.freezer.persist(
            place.directory, lambda: os.rename(place.object, bad)
        )
        self._annex.hooks.erase(bad)
        if os.path.lexists(bad):
            os.unlink(bad)
