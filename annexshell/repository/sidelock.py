"""The side lock: which pid lock on this machine has a living owner (spec 02 §8).

A pid lock is a file that says "mine", and stays when its owner is killed. So whoever takes
one also locks a file on a file system of this machine's own, where locks work and end with
their owner. Who can have the side lock knows that no process here holds the pid lock, unless
that one came to the repository by another name.

git-annex from 2025 on leaves out the slash between the directory and a short name, earlier
versions did not. In a linked worktree its name is made from that one's path. All these names
are locked where they can be, so that each is excluded.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from annexshell.repository.durable import Closing
from annexshell.repository.filelock import FileLock, holder_of, lock_descriptor

_LONGEST = 32
_TRIES = 5
_DENIED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def names(pid_lock: str) -> list[str]:
    """The paths of the side locks for the pid lock at an absolute path."""
    directory = "/dev/shm" if os.path.isdir("/dev/shm") else "/tmp"
    base = pid_lock.lstrip("/").replace("/", "_")
    short = base[-_LONGEST:]
    if short == base:
        return [f"{directory}/{base}.lck", f"{directory}{base}.lck"]
    digest = hashlib.md5(os.fsencode(base), usedforsecurity=False).hexdigest()
    return [f"{directory}/{digest}{short}.lck"]


def _all_names(pid_lock: str) -> list[str]:
    paths = [pid_lock, *_in_worktrees(pid_lock)]
    return list(dict.fromkeys(name for path in paths for name in names(path)))


def _in_worktrees(pid_lock: str) -> Iterator[str]:
    """What git-annex calls the pid lock in linked worktrees, where ``.git`` is a link."""
    top = os.path.dirname(os.path.dirname(pid_lock)) + "/worktrees"
    with suppress(OSError):  # There are none, or none that we can know of.
        for name in os.listdir(top):
            with suppress(OSError), open(f"{top}/{name}/gitdir", "rb") as file:
                git_dir = os.fsdecode(file.read().rstrip(b"\n"))
                git_dir = os.path.normpath(os.path.join(top, name, git_dir))
                yield f"{git_dir}/annex/pidlock"


class SideLock(Closing):
    """A held side lock. Closing it deletes its files."""

    def __init__(self, held: list[FileLock], *, seen: bool) -> None:
        self._held = held
        self.seen = seen
        """Whether git-annex, as any user, sees that it is held."""

    @property
    def descriptors(self) -> list[int]:
        """See `FileLock.descriptors`."""
        return [fd for lock in self._held for fd in lock.descriptors]

    def close(self) -> None:
        """Let go. Twice is harmless."""
        while self._held:
            lock = self._held.pop()
            with suppress(OSError):  # A file that stays is used by the next holder.
                os.unlink(lock.path)
            lock.close()


def take(pid_lock: str) -> SideLock | None:
    """The side lock; None if a process of this machine has it. Raises OSError."""
    first, *more = _all_names(pid_lock)
    held: list[FileLock] = []
    side = SideLock(held, seen=True)
    try:
        for path in (first, *more):
            try:
                lock = _take(path)
            except OSError as error:
                if path == first or error.errno not in _DENIED:
                    raise
                side.seen = False
                continue
            if lock is None:
                side.close()
                return None
            held.append(lock)
    except BaseException:
        side.close()
        raise
    return side


def owner(pid_lock: str) -> str | None:
    """The process that holds the side lock, for a person to read; None if none does."""
    return next(
        (found for found in map(holder_of, _all_names(pid_lock)) if found), None
    )


def _take(path: str) -> FileLock | None:
    for _ in range(_TRIES):
        fd = _open(path)
        if fd is None:
            continue
        lock = lock_descriptor(fd, path, exclusive=True)
        if lock is None:
            return None
        if lock.same_file():
            return lock
        lock.close()  # Its last holder has just deleted it.
    return None


def _open(path: str) -> int | None:
    """The file for any user to lock; None if it was made or deleted in this moment."""
    # Opening somebody else's file with O_CREAT is forbidden in such directories.
    with suppress(FileNotFoundError):
        fd = os.open(path, _OPEN)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file", path)
        return fd
    try:
        fd = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    os.fchmod(fd, 0o666)
    return fd
