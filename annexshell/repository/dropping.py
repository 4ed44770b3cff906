"""Removing content (spec 02 §11).

The order is the safety: lock, then promises, then the deadline, then the object, then the
log. Whoever looks before holding the lock may act on what is no longer true.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from annexshell.errors import RemovalRefused
from annexshell.model.key import Key
from annexshell.repository.annex import Annex, storage
from annexshell.repository.locking import ExclusiveLock, Locking
from annexshell.repository.objects import Found, Objects, OpenObject, status_of
from annexshell.repository.paths import ObjectPlace

if TYPE_CHECKING:
    from annexshell.repository.worktree import WorkTree


Trash = Callable[[Key, OpenObject], None]
"""Stores the content on the remote that annex.trashbin names, and records that it is there.

Raises RequestError, RemovalRefused with the reason as a rule: then the content stays.
"""


Recording = Callable[[], AbstractContextManager[Callable[[], object]]]
"""Makes everything ready to record the absence; what the block gets does it.

Others wait for the journal meanwhile. Raises what `prepare` does.
"""
_QUICK = 1 << 30
"""Bytes that a file system frees at once."""


class _How(NamedTuple):
    """What the caller of `Dropping.remove` does for it."""

    prepare: Callable[[], None]
    record: Callable[[], object]
    recording: Recording | None
    trash: Trash | None


class _TooLate(Exception):
    """The time before which the content might be removed is over."""


class Dropping:
    """Removes content of one repository."""

    def __init__(
        self,
        annex: Annex,
        objects: Objects,
        locking: Locking,
        work_tree: WorkTree | None,
    ) -> None:
        """``work_tree`` is None where there is none, or none is known."""
        self._annex = annex
        self._objects = objects
        self._locking = locking
        self._work_tree = work_tree

    def remove(
        self,
        key: Key,
        before: int | None,
        clock: Callable[[], int],
        *,
        prepare: Callable[[], None],
        record: Callable[[], object],
        recording: Recording | None = None,
        trash: Trash | None = None,
    ) -> bool:
        """Make the content absent; False if ``clock`` has reached ``before``.

        True also if it was absent. ``prepare`` raises if ``record`` could not log the
        absence; ``recording`` is both, where nothing slow comes between. With annex.trashbin
        the content first goes to ``trash``. Work tree files that nobody changed become
        pointers. Raises ContentLocked, RemovalRefused, StorageFailed, LockTimeout, and as
        the callables do.
        """
        in_time = partial(_is_before, before, clock)
        how = _How(prepare, record, recording, trash)
        for _ in self._annex.paths.places(key):
            # Without annex.thin it is the lock that tells whether anything is there.
            if self._annex.thin and not self._removable(key, self._objects.find(key)):
                return True
            lock = self._locking.lock_exclusive(key)
            if lock is None:
                return True
            with lock:
                if not self._removable(key, lock.found):
                    return True
                try:
                    if self._remove_locked(key, lock, in_time, how):
                        return True
                except _TooLate:
                    return False
        raise RemovalRefused(key=key, detail="it is being stored again; try again")

    def _remove_locked(
        self, key: Key, lock: ExclusiveLock, in_time: Callable[[], bool], how: _How
    ) -> bool:
        """Remove and record; False if there is another copy. Raises _TooLate."""
        if how.recording is not None and self._is_quick(lock):
            with how.recording() as record:
                return self._delete_and_record(key, lock.place, in_time, record)
        how.prepare()
        self._keep_elsewhere(key, how.trash, in_time)
        return self._delete_and_record(key, lock.place, in_time, how.record)

    def _delete_and_record(
        self,
        key: Key,
        place: ObjectPlace,
        in_time: Callable[[], bool],
        record: Callable[[], object],
    ) -> bool:
        gone = self._gone(key, self._delete(key, place, in_time))
        if gone:
            record()
        return gone

    def _is_quick(self, lock: ExclusiveLock) -> bool:
        """Whether removing is one system call, so that others can wait for it."""
        annex, hooks = self._annex, self._annex.hooks
        return (
            lock.guard is None
            and self._work_tree is None
            and lock.found.status.st_size <= _QUICK
            and not annex.config.get("annex.trashbin")
            and not (hooks.freezes or hooks.thaws or hooks.erases)
        )

    def _gone(self, key: Key, removed: os.stat_result | None) -> bool:
        """Whether that was all of it. What belongs in the work tree then is done.

        A copy in the other place has a lock of its own. Until it goes too the content is
        here, and the log says so.
        """
        if self._removable(key, self._objects.find(key)):
            return False
        if self._work_tree is not None and removed is not None:
            self._work_tree.empty(key, removed)
        return True

    def _removable(self, key: Key, found: Found | None) -> bool:
        """Whether there is something that may go.

        With annex.thin an object that is not the content is what somebody is editing.
        Without, a damaged object is only in the way.
        """
        if found is None:
            return False
        return not self._annex.thin or self._objects.good(key, found)

    def _keep_elsewhere(
        self, key: Key, trash: Trash | None, in_time: Callable[[], bool]
    ) -> None:
        """Have annex.trashbin's remote keep the content. Raises RemovalRefused, _TooLate.

        Under the exclusive lock, so that nobody removes or replaces it meanwhile.
        """
        if not self._annex.config.get("annex.trashbin"):
            return
        if not in_time():
            raise _TooLate  # Storing would be in vain.
        if trash is None:
            detail = "annex.trashbin was not set when this began; try again"
            raise RemovalRefused(key=key, detail=detail)
        content = self._objects.open_for_get(key)
        if content is None:
            detail = (
                "it is damaged, so annex.trashbin cannot keep it; run git annex fsck"
            )
            raise RemovalRefused(key=key, detail=detail)
        with content:
            trash(key, content)
            if not content.still_valid():
                detail = "it was changed while annex.trashbin took it"
                raise RemovalRefused(key=key, detail=detail)

    def _refuse_shared_erasure(
        self, key: Key, place: ObjectPlace, status: os.stat_result | None
    ) -> None:
        if self._annex.hooks.erases and status is not None and status.st_nlink > 1:
            raise RemovalRefused(
                key=key,
                detail="its file has other names, which secure erasing would destroy;"
                " drop it with git annex there",
            )

    def _delete(
        self, key: Key, place: ObjectPlace, in_time: Callable[[], bool]
    ) -> os.stat_result | None:
        """Returns what the object was; None if it is gone already. Raises _TooLate.

        ``in_time`` is asked last of all: thawing may run a command that takes long, and so
        may waiting for others that freeze the directory.
        """
        status = status_of(place.object)
        self._refuse_shared_erasure(key, place, status)
        freezer, erases = self._annex.freezer, self._annex.hooks.erases
        bad = self._annex.paths.bad(key)
        with (
            storage("removing content", place.object),
            freezer.thawed(place.directory),
        ):
            if self._annex.hooks.thaws or erases:
                freezer.thaw_object(place.object)
            try:
                if erases:
                    self._annex.make_directories(os.path.dirname(bad))
                freezer.persist(
                    place.directory,
                    lambda: _take_away(place.object, bad if erases else None, in_time),
                )
            except _TooLate:
                freezer.protect(place.object)
                freezer.freeze_object(place.object)
                raise
            if erases:
                self._erase(bad)
        return status

    def _erase(self, bad: str) -> None:
        """Erase under a name that nobody takes for the content.

        Erasing takes long; if it is interrupted, half erased content must not be present.
        """
        self._annex.hooks.erase(bad)
        if os.path.lexists(bad):
            os.unlink(bad)


def _is_before(limit: int | None, clock: Callable[[], int]) -> bool:
    return limit is None or clock() < limit


def _take_away(path: str, bad: str | None, in_time: Callable[[], bool]) -> None:
    """The object goes, or to ``bad``, unless it is too late. Raises _TooLate, OSError."""
    if not in_time():
        raise _TooLate
    if bad is None:
        os.unlink(path)
    else:
        os.rename(path, bad)
