"""Which processes that announced changes of sizes still live (spec 04 §9.3).

Each has a file named by a number in ``reposize/live/``, locked for its life. What the file
of a dead one announced would count for ever. git-annex uses its pid; ours is a random
number over all pids, since pids are given away again, and twice in two containers.

All of this is done with ``reposize/lock`` held, as in git-annex: so nobody is between
making a file and locking it while others look.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from annexshell.repository.annex import unlink_quietly
from annexshell.repository.durable import Closing
from annexshell.repository.filelock import (
    FileLock,
    Locks,
    lock_descriptor,
    open_lock_file,
)
from annexshell.repository.modes import Sharing

_LEAST = 1 << 32
_BITS = 62
_TRIES = 10
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_SWEEP = 60.0
"""Seconds between two looks at files of processes that announce nothing."""
DOUBT = 60.0
"""Seconds that a process without a file must have been without, to be dead."""
_MISSING = ".missing"
"""Ends the name of the file that dates when that was first seen; not a number, so that
git-annex does not take it for a process."""


class LiveFile(Closing):
    """Says that this process lives, until it is closed or the process ends."""

    def __init__(self, lock: FileLock, pid: int) -> None:
        self._lock = lock
        self.pid = pid

    @classmethod
    def create(cls, directory: str, sharing: Sharing) -> LiveFile:
        """A file of a new name, in a directory that exists. Raises OSError."""
        for _ in range(_TRIES):
            pid = int.from_bytes(os.urandom(8)) % ((1 << _BITS) - _LEAST) + _LEAST
            path = f"{directory}/{pid}"
            try:
                fd = os.open(path, _NEW, 0o666)
            except FileExistsError:
                continue
            try:
                lock = lock_descriptor(fd, path, exclusive=True)
            except OSError:
                unlink_quietly(
                    path
                )  # Where nothing can be locked, each try leaves one.
                raise
            if lock is None:
                continue
            if lock.same_file():
                sharing.share(fd)
                return cls(lock, pid)
            lock.close()  # Somebody took us for dead before we had the lock.
        raise FileExistsError(f"no name is free in {directory}")

    @property
    def there(self) -> bool:
        """Whether others can see it: a person may have deleted it."""
        return self._lock.same_file()

    def remove(self) -> None:
        """Delete it, for a process that has nothing announced any more."""
        with suppress(OSError):  # A file that stays is deleted by the next who looks.
            if self._lock.same_file():
                os.unlink(self._lock.path)
        self.close()

    def close(self) -> None:
        """Let go; whoever looks next takes the process for dead."""
        self._lock.close()


class Watch:
    """Looks for the dead among the processes that announced something.

    To be used with ``reposize/lock`` held. ``directory`` is ``reposize/live``.
    """

    def __init__(self, directory: str, locks: Locks) -> None:
        self._directory = directory
        self._locks = locks
        self._swept: float | None = None

    def dead(self, pids: Collection[str], own: int | None) -> list[str]:
        """Those of ``pids`` whose announcements are to be deleted; see `bury`.

        ``pids`` were read before: who has rows had a file already then.
        """
        found = []
        for pid in pids:
            if pid == str(own) or not _is_pid(pid):
                continue
            locked = self._is_locked(f"{self._directory}/{pid}")
            if locked is False or (locked is None and self._long_missing(pid)):
                found.append(pid)
            elif locked:
                self._unmark(pid)
        return found

    def bury(self, pids: Collection[str]) -> None:
        """Delete the files of the dead, once nothing of theirs is announced."""
        for pid in pids:
            with suppress(OSError):  # Left for the next who looks.
                unlink_quietly(f"{self._directory}/{pid}")
            self._unmark(pid)

    def sweep(
        self,
        pids: Collection[str],
        own: int | None,
        forget: Callable[[list[str]], None],
    ) -> None:
        """`dead` and `bury` for all files, once a minute. Raises what ``forget`` does.

        They are few: one for each process that did not end orderly. ``pids`` are those
        that announce something.
        """
        now = time.monotonic()
        if self._swept is not None and now < self._swept + _SWEEP:
            return
        self._swept = now
        try:
            names = os.listdir(self._directory)
        except OSError:
            return  # There is none yet.
        for name in names:
            pid, missing, _ = name.partition(_MISSING)
            if missing and pid not in pids:
                self._unmark(pid)
        gone = [
            name
            for name in names
            if _is_pid(name)
            and name != str(own)
            and self._is_locked(f"{self._directory}/{name}") is False
        ]
        if gone:
            forget(gone)
            self.bury(gone)

    def _is_locked(self, path: str) -> bool | None:
        """Whether the process of that file lives; None if it has no file."""
        try:
            fd = open_lock_file(path, exclusive=False, create=False)
            lock = self._locks.lock_descriptor(fd, path, exclusive=False)
        except FileNotFoundError:
            return None
        except OSError:
            return True  # Another user's, which cannot be told: it counts.
        if lock is None:
            return True
        lock.close()
        return False

    def _long_missing(self, pid: str) -> bool:
        """Whether the process had no file a minute ago either.

        The date of a file of ours remembers it, for sessions last for moments.
        """
        path = f"{self._directory}/{pid}{_MISSING}"
        now = time.time()
        try:
            seen = os.lstat(path).st_mtime
            if seen <= now:
                return now - seen >= DOUBT
            # The clock was set back.
            os.utime(path, (now, now), follow_symlinks=False)
        except FileNotFoundError:
            with suppress(OSError):  # It counts until somebody can remember it.
                os.close(os.open(path, _NEW, 0o666))
                os.utime(path, (now, now), follow_symlinks=False)
        except OSError:
            return False
        return False

    def _unmark(self, pid: str) -> None:
        with suppress(OSError):
            unlink_quietly(f"{self._directory}/{pid}{_MISSING}")


def _is_pid(name: str) -> bool:
    return name.isascii() and name.isdigit()
