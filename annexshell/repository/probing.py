"""What a file system can do, tried out before a repository there is initialised (§14.3)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from annexshell.repository.filelock import try_lock
from annexshell.repository.modes import WRITE_BITS

_DIRECTORY = "annexshell-probe"
_LOCKLESS = frozenset(
    (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
)
"""What locking fails with where there are no locks."""


class Abilities(NamedTuple):
    """What works in a directory."""

    locks: bool
    """Locks as git-annex uses them; without, it takes annex.pidlock."""
    fifos: bool
    """Named pipes; without, ssh's connections cannot be shared there either."""
    symlinks: bool
    write_protection: bool

    @property
    def crippled(self) -> bool:
        """git-annex's annex.crippledfilesystem."""
        return not (self.symlinks and self.write_protection)


def probe(directory: str) -> Abilities:
    """Try everything in a new directory below ``directory``, which is removed after.

    Not to be called by two at once. Raises OSError where not even files can be made.
    """
    place = os.path.join(directory, _DIRECTORY)
    _clear(place)
    os.mkdir(place, 0o700)
    try:
        return Abilities(
            locks=locks_work(os.path.join(place, "lock")),
            fifos=_works(lambda: os.mkfifo(os.path.join(place, "fifo"))),
            symlinks=_works(lambda: os.symlink("lock", os.path.join(place, "link"))),
            write_protection=_protects(os.path.join(place, "file")),
        )
    finally:
        _clear(place)


def _works(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def locks_work(path: str) -> bool:
    """Whether the file at ``path``, made if need be, can be locked; held, it can."""
    try:
        lock = try_lock(path, exclusive=True)
    except OSError as error:
        return error.errno not in _LOCKLESS
    if lock is not None:
        lock.close()
    return True


def _protects(path: str) -> bool:
    """Whether taking a file's write bits keeps its owner from writing to it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
    try:
        os.chmod(path, 0o444)
    except OSError:
        return False
    if stat.S_IMODE(os.stat(path).st_mode) & WRITE_BITS:
        return False
    # root may write to whatever it likes, which says nothing of the file system.
    return os.geteuid() == 0 or not os.access(path, os.W_OK)


def _clear(place: str) -> None:
    """Remove the directory; one may be there of a process that died."""
    if os.path.islink(place):
        os.unlink(place)
    try:
        names = os.listdir(place)
    except FileNotFoundError:
        return
    for name in names:
        os.unlink(os.path.join(place, name))
    os.rmdir(place)
