"""Removing content (spec 02 §11).

The order is the safety: lock, then promises, then the deadline, then the object, then the
log. Whoever looks before holding the lock may act on what is no longer true.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from annexshell.errors import RemovalRefused
from annexshell.model.key import Key
from annexshell.repository.absence import Absence
from annexshell.repository.annex import Annex, storage
from annexshell.repository.contentlocks import ExclusiveLock
from annexshell.repository.locking import Locking
from annexshell.repository.objects import Found, Objects, OpenObject, status_of
from annexshell.repository.paths import ObjectPlace

if TYPE_CHECKING:
    from annexshell.repository.worktree import WorkTree


Trash = Callable[[Key, OpenObject], None]
"""Stores the content on the remote that annex.trashbin names, and records that it is there.

Raises RequestError, RemovalRefused with the reason as a rule: then the content stays.
"""


Recording = Callable[[], Absence]
"""Makes everything ready to record the absence.

Others wait for the journal until it is closed. Raises what `prepare` does.
"""
_QUICK = 1 << 30
"""Bytes that a file system frees at once."""
_LOOKS = 2
"""Content that `git annex fsck` moves from one place to the other may not be found in
either, if it is looked for once."""


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
        found: Found | None = None,
    ) -> bool:
        """Make the content absent; False if ``clock`` has reached ``before``.

        True also if it was absent. ``prepare`` raises if ``record`` could not log the
        absence; ``recording`` is both, where nothing slow comes between. With annex.trashbin
        the content first goes to ``trash``. Work tree files that nobody changed become
        pointers. ``found`` is where it was just seen.

        Raises ContentLocked, RemovalRefused, StorageFailed, LockTimeout, and as the
        callables do.
        """
        in_time = partial(_is_before, before, clock)
        how = _How(prepare, record, recording, trash)
        for _ in range(_LOOKS * len(self._annex.paths.places(key))):
            removed = self._attempt(key, found, in_time, how)
            if removed is not None:
                return removed
            found = None
        raise RemovalRefused(key=key, detail="it is being stored again; try again")

    def _attempt(
        self, key: Key, found: Found | None, in_time: Callable[[], bool], how: _How
    ) -> bool | None:
        """`remove`, unless something is left then: None."""
        # Without annex.thin it is the lock that tells whether anything is there.
        if self._annex.thin and self._absent(key):
            return True
        lock = self._locking.lock_exclusive(key, found)
        if lock is None:
            return self._absent(key) or None
        with lock:
            if not self._removable(key, lock.found):
                return True
            try:
                return self._remove_locked(key, lock, in_time, how) or None
            except _TooLate:
                return False

    def _remove_locked(
        self, key: Key, lock: ExclusiveLock, in_time: Callable[[], bool], how: _How
    ) -> bool:
        """Remove and record; False if there is another copy. Raises _TooLate."""
        if how.recording is not None and self._is_quick(lock):
            with how.recording() as absence:
                return self._remove_quickly(key, lock, in_time, absence)
        how.prepare()
        self._keep_elsewhere(key, how.trash, in_time)
        gone = self._gone(key, self._delete(key, lock.place, in_time))
        if gone:
            how.record()
        return gone

    def _remove_quickly(
        self,
        key: Key,
        lock: ExclusiveLock,
        in_time: Callable[[], bool],
        absence: Absence,
    ) -> bool:
        """As `_remove_locked`, with the journal locked.

        So whoever stores it again now, which git-annex does without a content lock, is
        recorded after us, and nobody needs to look for that.
        """
        place, freezer = lock.place, self._annex.freezer
        with storage("removing content", place.object):
            freezer.persist(
                place.directory, lambda: _take_away(place.object, None, in_time)
            )
        if self._removable(key, self._objects.find(key)):
            return False
        absence.record()
        return True

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

    def _absent(self, key: Key) -> bool:
        """Whether there is nothing that may go; looked for twice (`_LOOKS`)."""
        return not any(
            self._removable(key, self._objects.find(key)) for _ in range(_LOOKS)
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
