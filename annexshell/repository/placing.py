"""Verified content becomes an object, and is recorded (spec 02 §10, steps 8 to 15).

Content first, log second, and a shared content lock over both, so that a remover cannot
come between and leave a record of content that is gone. In every state in between the
content is either still resumable under ``tmp/`` or complete under its final name.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from annexshell.errors import ContentLocked, InsecureKey, StorageFailed
from annexshell.model.key import Key
from annexshell.repository.annex import Annex, storage, unlink_quietly
from annexshell.repository.contentlocks import SharedLock
from annexshell.repository.durable import sync_directory
from annexshell.repository.filelock import FileLock
from annexshell.repository.hashing import Check, check_of
from annexshell.repository.locking import Locking
from annexshell.repository.objects import Objects
from annexshell.repository.partial import Partial
from annexshell.repository.paths import ObjectPlace

if TYPE_CHECKING:
    from annexshell.repository.worktree import WorkTree

_PATIENCE = 10.0
"""Seconds to wait for a remover that is just finishing."""
_PAUSE = 0.01
_COPY = "annexshell.copy"
"""Name, beside the object, of a copy from another file system; no key's file name."""

Record = Callable[[], object]
"""Writes to the location log that the content is here, or is not; may raise."""


def check_acceptable(annex: Annex, key: Key) -> Check:
    """Whether the repository takes this key at all, and how it is verified (spec 02 §3).

    Raises KeyNotStorable (§2.5), InsecureKey (§3.6), and what `check_of` does.
    """
    annex.paths.check_storable(key)
    check = check_of(annex.repository, key)
    if annex.secure_only and not check.secure:
        raise InsecureKey(backend=os.fsdecode(key.backend), where=annex.repository.path)
    return check


class Placing:
    """Puts content in place, for one repository."""

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
        self._durable: tuple[int, int] | None = None
        """The ``objects`` directory whose own name we have synced."""

    def adopt(self, key: Key, record: Record) -> bool:
        """Record content that is present already; False if it is not, or is being removed.

        Raises StorageFailed, LockTimeout, and what ``record`` raises.
        """
        lock = self._locking.lock_shared(key, retain=False)
        if lock is None:
            return False
        try:
            with storage("syncing content", lock.place.object):
                self._sync_file(lock.place)
                self._sync(lock.place)
            record()
        finally:
            lock.unlock()
        return True

    def store(self, key: Key, source: Partial, record: Record) -> None:
        """Move verified content into place and record it.

        Raises ContentLocked, InsecureKey, StorageFailed, LockTimeout and what ``record``
        raises. The temporary file is gone once the object is in place.
        """
        with storage("storing content", source.path):
            source.prepare()
            self._annex.recheck()
            # The security boundary of annex.securehashesonly (spec 02 §3.6).
            check_acceptable(self._annex, key)
            found = self._objects.find(key)
            if found is not None and self.adopt(key, record):
                source.discard()
                return
            place = self._annex.paths.places(key)[0] if found is None else found.place
            lock = self._hold(key, place, source)
            try:
                self._fill(key, lock, source)
                record()
            finally:
                lock.unlock()

    def _hold(self, key: Key, place: ObjectPlace, source: Partial) -> SharedLock:
        """Lock a place that is, as far as we know, empty."""
        guard = self._locking.guard()
        if guard is None:
            return self._hold_file(key, place)
        try:
            self._annex.make_directories(place.directory)
            # The lock stays on the file when it gets its final name.
            held = self._annex.locks.lock_descriptor(
                os.dup(source.fd), place.object, exclusive=False
            )
            if held is None:
                raise ContentLocked(key=key, detail="the temporary file is locked")
        except BaseException:
            guard.close()
            raise
        lock = SharedLock(self._locking, place, held)
        lock.guard = guard
        return lock

    def _hold_file(self, key: Key, place: ObjectPlace) -> SharedLock:
        deadline = time.monotonic() + _PATIENCE
        while True:
            self._annex.make_directories(place.directory)
            lock = self._locking.share_file(place)
            if lock is not None:
                return lock
            if time.monotonic() > deadline:
                raise ContentLocked(key=key, detail="it is being removed")
            time.sleep(_PAUSE)

    def _fill(self, key: Key, lock: SharedLock, source: Partial) -> None:
        place = lock.place
        found = self._objects.find(key)
        if found is not None and lock.guard is None and self._objects.good(key, found):
            # Who was removing it when we looked has given up.
            self._sync_file(place)
            self._sync(place)
            source.discard()
            return
        freezer = self._annex.freezer
        with freezer.thawed(place.directory):
            replaced = self._clear_way(key, place, lock)
            try:
                self._move(source, lock)
            finally:
                if replaced is not None:
                    replaced.close()
            freezer.freeze_object(place.object)
        self._sync(place)
        if self._work_tree is not None:
            self._work_tree.fill(key, place.object)

    def _clear_way(
        self, key: Key, place: ObjectPlace, lock: SharedLock
    ) -> FileLock | None:
        """Get what is not the key's content out of the place (D1).

        A file with another name is simply replaced: that name keeps what somebody wrote
        to it. Otherwise this is the only copy of those bytes, and goes to ``bad/``. Content
        that is good after all stays until it is replaced: somebody may rely on it. The lock
        returned, before version 10, ends when the new content is in place.
        """
        try:
            status = os.lstat(place.object)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(status.st_mode):
            raise StorageFailed(
                action="storing content",
                where=place.object,
                detail="something that is not a regular file is there; remove it",
            )
        held = None
        if lock.guard is not None:
            held = self._locking.claim_object(place)
            if held is None:
                raise ContentLocked(key=key, detail="what it replaces is locked")
        found = self._objects.find(key)
        good = found is not None and self._objects.good(key, found)
        if status.st_nlink == 1 and not good:
            self._set_aside(key, place)
        return held

    def _set_aside(self, key: Key, place: ObjectPlace) -> None:
        bad = self._annex.paths.bad(key)
        self._annex.make_directories(os.path.dirname(bad))
        self._annex.freezer.persist(
            place.directory, lambda: os.rename(place.object, bad)
        )

    def _move(self, source: Partial, lock: SharedLock) -> None:
        place = lock.place
        if not source.named(source.path):
            raise StorageFailed(
                action="storing content",
                where=source.path,
                detail="somebody replaced the temporary file; send it again",
            )
        persist = self._annex.freezer.persist
        try:
            persist(place.directory, lambda: os.rename(source.path, place.object))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._move_across(source, lock)

    def _move_across(self, source: Partial, lock: SharedLock) -> None:
        place = lock.place
        persist = self._annex.freezer.persist
        copy = f"{place.directory}/{_COPY}"
        persist(place.directory, lambda: source.copy_to(copy))
        if not self._annex.separate_locks:
            held = self._annex.locks.lock_descriptor(
                os.dup(source.fd), place.object, exclusive=False
            )
            if held is not None:
                lock.move_to(held)
        persist(place.directory, lambda: os.rename(copy, place.object))
        unlink_quietly(source.path)

    def _sync_file(self, place: ObjectPlace) -> None:
        if not self._annex.fsync:
            return
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(place.object, flags)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _sync(self, place: ObjectPlace) -> None:
        """Have the object's name, and those of the directories above, reach the disk.

        All of them, made now or before: who made them may have died before syncing. That
        of ``objects`` itself, which nobody removes, once.
        """
        if not self._annex.fsync:
            return
        top, directory = self._annex.paths.objects, place.directory
        while len(directory) >= len(top):
            sync_directory(directory)
            directory = os.path.dirname(directory)
        status = os.stat(top)
        known = status.st_dev, status.st_ino
        if known != self._durable:
            sync_directory(directory)
            self._durable = known
