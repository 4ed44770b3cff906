"""Content locks: what keeps content from being removed (spec 02 §7).

Version 10 locks a file beside the object. It is deleted by whoever unlocks last, always
before closing it, so a lock counts only if its path still names the locked file. Before
version 10 the object itself is locked, under a shared lock on the sentinel that tells
upgraders to wait.

    shared      somebody relies on the content, or is just putting it in place
    exclusive   somebody removes it
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from typing import TypeVar

from annexshell.errors import ContentLocked, LockTimeout
from annexshell.model.key import Key
from annexshell.repository import retention
from annexshell.repository.annex import Annex, storage, unlink_quietly
from annexshell.repository.contentlocks import ExclusiveLock, SharedLock
from annexshell.repository.filelock import FileLock, Locks
from annexshell.repository.objects import Found, Objects
from annexshell.repository.paths import ObjectPlace
from annexshell.repository.retention import Promises

_TRIES = 5
"""Attempts at a lock file that others delete as fast as it is made."""


class Locking:
    """The content locks of one repository."""

    def __init__(self, annex: Annex, objects: Objects) -> None:
        self._annex = annex
        self._objects = objects
        self.promises = Promises(annex)

    @property
    def _locks(self) -> Locks:
        # Not kept: an annex whose config changed has others.
        return self._annex.locks

    def lock_shared(self, key: Key, *, retain: bool = True) -> SharedLock | None:
        """Keep present content from being removed; None if absent or being removed.

        With ``retain`` the content is also promised for ten minutes, where the version
        knows promises; without a promise there is no lock. Raises StorageFailed and
        LockTimeout.
        """
        with storage("locking content", str(key)):
            guard = self.guard()
            lock = None
            try:
                place = self._objects.locate(key)
                if place is not None:
                    lock = self._share(place, guard)
                if lock is None:
                    return None
                lock.guard, guard = guard, None
                confirmed = self._confirm(lock, key, retain)
                lock.freeze()
                return confirmed
            finally:
                if guard is not None:
                    guard.close()

    def _share(self, place: ObjectPlace, guard: FileLock | None) -> SharedLock | None:
        if guard is None:
            return self.share_file(place)
        held = _present(lambda: self._lock_object(place, exclusive=False))
        return None if held is None else SharedLock(self, place, held)

    def share_file(self, place: ObjectPlace) -> SharedLock | None:
        """Version 10's shared lock, with the directory thawed; None if there is none.

        Raises OSError.
        """
        thawed = _present(lambda: self._annex.freezer.thawed(place.directory))
        if thawed is None:
            return None
        try:
            held = self.lock_file(place, exclusive=False)
            if held is None:
                return None
            lock = SharedLock(self, place, held)
            lock.thawed, thawed = thawed, None
            return lock
        finally:
            if thawed is not None:
                thawed.close()

    def _confirm(self, lock: SharedLock, key: Key, retain: bool) -> SharedLock | None:
        """Under the lock: is the content still there, and can it be promised?"""
        good = False
        try:
            if self._objects.locate(key) == lock.place:
                if retain and lock.guard is None:
                    lock.promise = self.promises.make(lock.place)
                good = True
        finally:
            if not good:
                lock.unlock()
        return lock if good else None

    def lock_exclusive(
        self, key: Key, found: Found | None = None
    ) -> ExclusiveLock | None:
        """The right to remove the object; None if there is none, or not any more.

        ``found`` is where it was just seen; it is looked for again once it is locked.
        Raises ContentLocked (held by somebody, or promised), StorageFailed, LockTimeout.
        """
        with storage("locking content", str(key)):
            guard = self.guard()
            lock = None
            try:
                found = found or self._objects.find(key)
                if found is not None:
                    lock = self._claim(key, found, guard)
                    if lock is not None:
                        lock.guard, guard = guard, None
            finally:
                if guard is not None:
                    guard.close()
            return self._permitted(key, lock) if lock is not None else None

    def _claim(
        self, key: Key, found: Found, guard: FileLock | None
    ) -> ExclusiveLock | None:
        place, thawed, lock = found.place, None, None
        try:
            if guard is None:
                thawed = self._annex.freezer.thawed(place.directory)
                held = self.lock_file(place, exclusive=True)
            else:
                held = self.claim_object(place)
            if held is not None:
                lock = ExclusiveLock(self, found, held)
                lock.thawed, thawed = thawed, None
                return lock
        except FileNotFoundError:
            return None
        finally:
            if thawed is not None:
                thawed.close()
        path = place.lock if guard is None else place.object
        holder = self._locks.holder_of(path) or "another session"
        raise ContentLocked(key=key, detail=f"held by {holder}")

    def claim_object(self, place: ObjectPlace) -> FileLock | None:
        """The exclusive lock of version 8 and 9; None if it is held. Raises OSError."""
        freezer = self._annex.freezer
        freezer.thaw_object(place.object)
        try:
            return freezer.persist_object(
                place.object, lambda: self._lock_object(place, exclusive=True)
            )
        finally:
            if os.path.lexists(place.object):
                freezer.protect(place.object)
                freezer.freeze_object(place.object)

    def _permitted(self, key: Key, lock: ExclusiveLock) -> ExclusiveLock | None:
        """Only under the lock the stamp is read: nobody can write one any more (D4)."""
        good = False
        try:
            found = self._objects.find(key)
            if found is None or found.place != lock.place:
                return None
            lock.found = found
            until = retention.read(lock.place) if lock.guard is None else None
            if until is not None and time.time_ns() <= until:
                left = (until - time.time_ns()) // 10**9 + 1
                raise ContentLocked(key=key, detail=f"promised for {left} more seconds")
            if until is not None or os.path.lexists(lock.place.retention_lock):
                self._discard_promise(lock.place)
            good = True
            return lock
        finally:
            if not good:
                lock.close()

    def _discard_promise(self, place: ObjectPlace) -> None:
        freezer = self._annex.freezer
        with freezer.thawed(place.directory):
            freezer.persist(place.directory, lambda: retention.discard(place))

    def guard(self) -> FileLock | None:
        """The lock that holds upgrades off, before version 10; None since then.

        Raises OSError and LockTimeout.
        """
        if self._annex.separate_locks:
            return None
        self._annex.make_directories(self._annex.paths.annex_dir)  # gcrypt: none yet
        guard = self._locks.wait_lock(self._annex.paths.sentinal, exclusive=False)
        try:
            upgraded = self._annex.recheck().separate_locks
        except BaseException:
            guard.close()
            raise
        if upgraded:
            guard.close()
            return None
        return guard

    def _lock_object(self, place: ObjectPlace, *, exclusive: bool) -> FileLock | None:
        """The lock of version 8 and 9, on the object itself. Raises OSError."""
        access = os.O_RDWR if exclusive else os.O_RDONLY
        flags = access | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(place.object, flags)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise FileNotFoundError(place.object)
        held = self._locks.lock_descriptor(fd, place.object, exclusive=exclusive)
        if held is not None and not held.same_file():
            held.close()
            raise FileNotFoundError(place.object)
        return held

    def lock_file(self, place: ObjectPlace, *, exclusive: bool) -> FileLock | None:
        """Version 10's lock in a thawed object directory; None if it is held.

        Raises OSError; FileNotFoundError, if the directory is not there, only for the
        exclusive lock.
        """
        for _ in range(_TRIES):
            try:
                held = self._annex.freezer.persist(
                    place.directory,
                    lambda: self._open_lock(place.lock, exclusive=exclusive),
                )
            except FileNotFoundError:
                if exclusive:
                    raise
                return None
            if held is None:
                return None
            self._annex.sharing.share(held.fd)
            if held.same_file():
                return held
            held.close()
        return None

    def _open_lock(self, path: str, *, exclusive: bool) -> FileLock | None:
        if exclusive:
            return self._locks.try_lock(path, exclusive=True)
        try:
            # Open for writing, it can become the exclusive lock that tidies up.
            return self._locks.try_lock(path, exclusive=False, writable=True)
        except PermissionError:
            return self._locks.try_lock(path, exclusive=False)

    def tidy(self, place: ObjectPlace, shared: FileLock) -> None:
        """The ``shared`` lock ends: if nobody else holds one, remove its traces.

        What cannot be removed now is removed by the next one, so failures are ignored.
        """
        try:
            with self._annex.freezer.thawed(place.directory):
                self._annex.freezer.persist(
                    place.directory, lambda: self._tidy_alone(place, shared)
                )
                self._prune(place)
        except (OSError, LockTimeout):
            return

    def _tidy_alone(self, place: ObjectPlace, shared: FileLock) -> None:
        if shared.fd >= 0 and shared.make_exclusive():
            self._wipe(place)
            return
        # Those who share it may all end now: whoever is last must find it free.
        shared.close()
        held = self._locks.try_lock(place.lock, exclusive=True)
        if held is None:
            return
        with held:
            if held.same_file():
                self._wipe(place)

    def _wipe(self, place: ObjectPlace) -> None:
        self.promises.settle(place)
        unlink_quietly(place.lock)

    def clear(self, place: ObjectPlace, *, lock_file: bool) -> bool:
        """Before an exclusive lock ends: remove its file, and what is empty then.

        Whether that was the object's directory, too.
        """
        try:
            if lock_file:
                self._annex.freezer.persist(
                    place.directory, lambda: unlink_quietly(place.lock)
                )
        except OSError:
            # An unlocked lock file is harmless; the next locker uses it.
            return False
        return self._prune(place)

    def _prune(self, place: ObjectPlace) -> bool:
        directory = place.directory
        while directory != self._annex.paths.objects:
            try:
                os.rmdir(directory)
            except OSError:
                # Not empty, or somebody else was faster: there is nothing more to do.
                break
            directory = os.path.dirname(directory)
        return directory != place.directory


_T = TypeVar("_T")


def _present(action: Callable[[], _T | None]) -> _T | None:
    try:
        return action()
    except FileNotFoundError:
        return None
