"""Lock files that git-annex's own locks exclude, and are excluded by (spec 02 §7.1).

git-annex uses POSIX record locks over the whole file. Ours are open file description
locks, which conflict with those in both directions but belong to the descriptor, not to
the process: closing another descriptor of the same file does not drop them, and two
sessions in one process exclude each other. ``flock`` would not be seen at all.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time

from annexshell.errors import LockTimeout
from annexshell.repository.durable import Closing

_FLOCK = "hhqqi4x"
_BUSY = frozenset((errno.EAGAIN, errno.EACCES))
DEFAULT_TIMEOUT = 60.0
"""Seconds to wait for a lock that is held for moments only (spec 02 §19)."""


class FileLock(Closing):
    """A held lock; closing it, or leaving its block, releases it."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self.path = path

    @property
    def fd(self) -> int:
        """The descriptor that carries the lock; still owned by it."""
        return self._fd

    def same_file(self) -> bool:
        """Whether ``path`` still names the file we hold (spec 02 §7.2, sanity check)."""
        try:
            now = os.lstat(self.path)
        except FileNotFoundError:
            return False
        held = os.fstat(self._fd)
        return (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino)

    def close(self) -> None:
        """Release the lock; doing it twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def try_lock(path: str, *, exclusive: bool, create: bool = True) -> FileLock | None:
    """The lock on ``path``, or None if somebody else holds it.

    A missing file is made, with 0666 less the umask, unless ``create`` is false. Raises
    OSError; what is no regular file is refused, and opening never blocks.
    """
    access = os.O_RDWR if exclusive else os.O_RDONLY
    flags = access | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(path, flags | (os.O_CREAT if create else 0), 0o666)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return lock_descriptor(fd, path, exclusive=exclusive)


def lock_descriptor(fd: int, path: str, *, exclusive: bool) -> FileLock | None:
    """The lock on an open descriptor, which is owned from here on; None if it is held."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(exclusive))
    except OSError as error:
        os.close(fd)
        if error.errno in _BUSY:
            return None
        raise
    return FileLock(fd, path)


def wait_lock(
    path: str,
    *,
    exclusive: bool,
    timeout: float = DEFAULT_TIMEOUT,
) -> FileLock:
    """The lock on ``path``, waiting up to ``timeout`` seconds.

    For locks that git-annex takes blocking. Polls, because a suspended holder would block
    the kernel's own waiting for ever. Raises LockTimeout naming the holder, and OSError.
    """
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        lock = try_lock(path, exclusive=exclusive)
        if lock is not None:
            return lock
        if time.monotonic() >= deadline:
            raise LockTimeout(
                where=path, holder=holder_of(path) or "an unknown process"
            )
        time.sleep(pause)
        pause = min(pause * 2, 0.1)


def holder_of(path: str, *, exclusive_only: bool = False) -> str | None:
    """Who holds a lock on ``path``, for a person to read; None if nobody does.

    With ``exclusive_only`` shared holders are not counted. Never creates the file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _request(not exclusive_only))
    finally:
        os.close(fd)
    kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
    if kind == fcntl.F_UNLCK:
        return None
    if pid <= 0:
        return "another session"
    from annexshell.repository.processes import described  # only for somebody to read

    return described(pid)


def _request(exclusive: bool) -> bytes:
    kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)
