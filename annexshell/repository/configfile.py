"""Changing several settings of git's config file in one step, under git's own lock.

``git config`` sets one value at a time, and a crash between two would leave a repository
that is half initialised. Here ``config.lock`` is taken as git takes it, by a hard link to a
file of ours, so that a lock which a crash left behind is known as ours and removed, and
never one that git holds.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable

from annexshell.errors import RepositoryBusy
from annexshell.repository.durable import sync_directory

_TIMEOUT = 10.0
_STAGING = ".annexshell"


def amend_config(path: str, addition: Callable[[], bytes | None]) -> bool:
    """Append what ``addition`` returns to the config file ``path``, in one atomic step.

    ``addition`` is called with the lock held, and returns None to change nothing; the rest
    is as for `rewrite_config`.
    """

    def rewrite(before: bytes) -> bytes | None:
        text = addition()
        if text is None:
            return None
        return before + (b"" if before.endswith(b"\n") else b"\n") + text

    return rewrite_config(path, rewrite)


def rewrite_config(path: str, rewrite: Callable[[bytes], bytes | None]) -> bool:
    """Put what ``rewrite`` makes of the config file ``path`` in its place, in one step.

    ``rewrite`` is called with the lock held, and returns None to change nothing; that is
    also the result. Only one caller at a time may change the same file; whoever calls holds
    a lock that sees to that. Raises RepositoryBusy if git holds the lock too long, and
    OSError.
    """
    path = os.path.realpath(path)
    staging, lock = path + _STAGING, path + ".lock"
    _clear(staging, lock)
    fd = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as new:
            _take(staging, lock)
            with open(path, "rb") as old:
                before = old.read()
                mode = stat.S_IMODE(os.fstat(old.fileno()).st_mode)
            text = rewrite(before)
            if text is None:
                return False
            new.write(text)
            new.flush()
            os.fchmod(new.fileno(), mode)
            os.fsync(new.fileno())
        os.rename(lock, path)
        sync_directory(os.path.dirname(path))
        return True
    finally:
        _clear(staging, lock)


def _clear(staging: str, lock: str) -> None:
    """Remove our staging file, and git's lock if it is another name of it."""
    try:
        ours = os.lstat(staging)
    except FileNotFoundError:
        return
    try:
        if os.path.samestat(ours, os.lstat(lock)):
            os.unlink(lock)
    except FileNotFoundError:
        pass  # not locked, or renamed into place: only the staging name is left
    os.unlink(staging)


def _take(staging: str, lock: str) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            os.link(staging, lock)
            return
        except FileExistsError:
            if time.monotonic() >= deadline:
                raise RepositoryBusy(where=lock, detail="git's lock is held") from None
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
                raise
            raise RepositoryBusy(
                where=lock, detail="the file system has no hard links"
            ) from error
        time.sleep(0.01)
