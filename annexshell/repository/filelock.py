"""Lock files that git-annex's own locks exclude, and are excluded by (spec 02 §7.1).

git-annex uses POSIX record locks over the whole file. Ours are open file description
locks, which conflict with those in both directions but belong to the descriptor, not to
the process: closing another descriptor of the same file does not drop them, and two
sessions in one process exclude each other. ``flock`` would not be seen at all.

With annex.pidlock one lock takes the place of all these; `locks_of` tells which it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from annexshell.errors import LockTimeout
from annexshell.repository.durable import Closing
from annexshell.repository.open import Repository

_FLOCK = "hhqqi4x"
_WRITE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_BUSY = frozenset((errno.EAGAIN, errno.EACCES))
_EXCLUSIVE = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_SHARED = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
DEFAULT_TIMEOUT = 60.0
"""Seconds to wait for a lock that is held for moments only (spec 02 §19)."""


class FileLock(Closing):
    """A held lock; closing it, or leaving its block, releases it."""

    def __init__(
        self, fd: int, path: str, identity: tuple[int, int] | None = None
    ) -> None:
        self._fd = fd
        self.path = path
        self._identity = identity

    @property
    def fd(self) -> int:
        """The descriptor that carries the lock; still owned by it."""
        return self._fd

    @property
    def descriptors(self) -> list[int]:
        """Those that carry the lock: who inherits them holds it as well."""
        return [self._fd]

    def same_file(self) -> bool:
        """Whether ``path`` still names the file we hold (spec 02 §7.2, sanity check)."""
        try:
            now = os.lstat(self.path)
        except FileNotFoundError:
            return False
        if self._identity is None:
            held = os.fstat(self._fd)
            self._identity = held.st_dev, held.st_ino
        return (now.st_dev, now.st_ino) == self._identity

    def make_exclusive(self) -> bool:
        """Turn a shared lock into the exclusive one; False if that is not to be had.

        The lock is held all the time, so that nobody can have removed its file meanwhile.
        """
        return False

    def close(self) -> None:
        """Release the lock; doing it twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class _OwnLock(FileLock):
    """A lock of the kernel's, on a file that is locked by itself."""

    def make_exclusive(self) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _EXCLUSIVE)
        except OSError:
            # Somebody else shares it, or it is not open for writing.
            return False
        return True


def try_lock(
    path: str, *, exclusive: bool, create: bool = True, writable: bool = False
) -> FileLock | None:
    """The lock on ``path``, or None if somebody else holds it.

    A missing file is made, with 0666 less the umask, unless ``create`` is false. What is
    to become exclusive later must be ``writable``. Raises OSError; what is no regular file
    is refused, and opening never blocks.
    """
    fd, identity = _open(path, exclusive=exclusive or writable, create=create)
    return lock_descriptor(fd, path, exclusive=exclusive, identity=identity)


def open_lock_file(path: str, *, exclusive: bool, create: bool = True) -> int:
    """A descriptor that can be locked; see `try_lock`."""
    return _open(path, exclusive=exclusive, create=create)[0]


def _open(path: str, *, exclusive: bool, create: bool) -> tuple[int, tuple[int, int]]:
    flags = _WRITE if exclusive else _READ
    fd = os.open(path, flags | os.O_CREAT if create else flags, 0o666)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd, (status.st_dev, status.st_ino)


def lock_descriptor(
    fd: int,
    path: str,
    *,
    exclusive: bool,
    identity: tuple[int, int] | None = None,
) -> FileLock | None:
    """The lock on an open descriptor, which is owned from here on; None if it is held.

    ``identity`` is the file's device and inode, if they are known already.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _EXCLUSIVE if exclusive else _SHARED)
    except OSError as error:
        os.close(fd)
        if error.errno in _BUSY:
            return None
        raise
    return _OwnLock(fd, path, identity)


def lock_byte(fd: int, place: int) -> bool:
    """Lock one byte of an open file for ourselves, until it is closed; False if somebody
    else has. Raises OSError."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, asked)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


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
    lock = try_lock(path, exclusive=exclusive)  # as a rule it is free
    if lock is not None:
        return lock
    return wait_for(
        lambda: try_lock(path, exclusive=exclusive), timeout, path, holder_of
    )


def wait_for(
    attempt: Callable[[], FileLock | None],
    timeout: float,
    path: str,
    holder: Callable[[str], str | None],
) -> FileLock:
    """What ``attempt`` gives when it gives something; see `wait_lock`."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        lock = attempt()
        if lock is not None:
            return lock
        if time.monotonic() >= deadline:
            raise LockTimeout(where=path, holder=holder(path) or "an unknown process")
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
        asked = _SHARED if exclusive_only else _EXCLUSIVE
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
    finally:
        os.close(fd)
    kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
    if kind == fcntl.F_UNLCK:
        return None
    if pid <= 0:
        return "another session"
    from annexshell.repository.processes import described  # only for somebody to read

    return described(pid)


class Locks:
    """How one repository is locked: by a file for each thing, if nothing else is set."""

    def try_lock(
        self, path: str, *, exclusive: bool, writable: bool = False
    ) -> FileLock | None:
        """See the function `try_lock`."""
        return try_lock(path, exclusive=exclusive, writable=writable)

    def lock_descriptor(
        self, fd: int, path: str, *, exclusive: bool
    ) -> FileLock | None:
        """See the function `lock_descriptor`."""
        return lock_descriptor(fd, path, exclusive=exclusive)

    def wait_lock(
        self, path: str, *, exclusive: bool, timeout: float | None = None
    ) -> FileLock:
        """See the function `wait_lock`; without ``timeout`` as long as is usual."""
        limit = self.patience(DEFAULT_TIMEOUT) if timeout is None else timeout
        return wait_lock(path, exclusive=exclusive, timeout=limit)

    def holder_of(self, path: str, *, exclusive_only: bool = False) -> str | None:
        """See the function `holder_of`."""
        return holder_of(path, exclusive_only=exclusive_only)

    def patience(self, usual: float) -> float:
        """Seconds to wait for a lock, where ``usual`` is right for locks of their own."""
        return usual

    def held_elsewhere(self) -> str | None:
        """Who holds a lock on the whole repository; None if nobody does.

        As long as somebody does, nothing here can be locked.
        """
        return None

    @contextmanager
    def kept(self) -> Iterator[bool]:
        """Several locks in a row, with nobody else's between them where one is for all.

        False if somebody holds that one.
        """
        yield True


def locks_of(repository: Repository) -> Locks:
    """The locks by the repository's config (spec 02 §8)."""
    if not repository.config.boolean("annex.pidlock", False):
        return Locks()
    # Few repositories need this.
    from annexshell.repository.pidlock import pid_locks

    return pid_locks(repository)
