"""The locks that `locking` gives, while they are held (spec 02 §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from annexshell.repository.durable import Closing
from annexshell.repository.filelock import FileLock
from annexshell.repository.objects import Found
from annexshell.repository.paths import ObjectPlace

if TYPE_CHECKING:
    from annexshell.repository.freezing import Thawed
    from annexshell.repository.locking import Locking
    from annexshell.repository.retention import Promise


class SharedLock(Closing):
    """Content that nobody may remove. Left without `unlock`, its promise stays."""

    def __init__(self, locking: Locking, place: ObjectPlace, held: FileLock) -> None:
        self._locking = locking
        self._held = held
        self.place = place
        self.guard: FileLock | None = None
        self.promise: Promise | None = None
        self.thawed: Closing | None = None
        """Where the content's directory is to be changed as long as it is locked."""

    def move_to(self, held: FileLock) -> None:
        """From now on ``held``, on a copy that takes the file's place, is the lock."""
        self._held.close()
        self._held = held

    def freeze(self) -> None:
        """Nothing more is changed in the content's directory, until the lock ends."""
        thawed, self.thawed = self.thawed, None
        if thawed is not None:
            thawed.close()

    def unlock(self) -> None:
        """The locker is done in good order: the lock and its promise end.

        Raises nothing: a lock file or stamp that cannot be cleaned up is harmless.
        """
        if self.promise is not None:
            self._locking.promises.finish(self.promise)
        if self.guard is None:
            self._locking.tidy(self.place, self._held)
        self.close()

    def close(self) -> None:
        """The locker is gone: the lock ends, the promise stays. Twice is harmless."""
        # Not after the lock: whoever has it next would find the directory frozen again.
        thawed, self.thawed = self.thawed, None
        _freeze_quietly(thawed)
        self._held.close()
        if self.guard is not None:
            self.guard.close()


class ExclusiveLock(Closing):
    """Content that only the holder may remove; a context manager.

    Since version 10 the directory is thawed as long as it is held.
    """

    def __init__(self, locking: Locking, found: Found, held: FileLock) -> None:
        self._locking = locking
        self._held = held
        self.found = found
        """The object as it was when the lock was taken."""
        self.place = found.place
        self.guard: FileLock | None = None
        self.thawed: Thawed | None = None

    def close(self) -> None:
        """End the lock; its files and then empty directories go before it does."""
        try:
            gone = self._locking.clear(self.place, lock_file=self.guard is None)
            if gone and self.thawed is not None:
                self.thawed.forget()
        finally:
            _freeze_quietly(self.thawed)
            self._held.close()
            if self.guard is not None:
                self.guard.close()


def _freeze_quietly(thawed: Closing | None) -> None:
    try:
        if thawed is not None:
            thawed.close()
    except OSError:
        # What was done under the lock is done. The next one who changes something in the
        # directory freezes it.
        return
