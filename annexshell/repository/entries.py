"""Names in directories that are held open, so that no symlink can lead elsewhere."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from annexshell.repository.annex import Annex
from annexshell.repository.keysdb import Identity

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class Entry(NamedTuple):
    """A name in a directory that is held open; whoever opened that closes it."""

    directory: int
    name: str

    def open_regular(self) -> int | None:
        """A descriptor to read; None if there is no regular file. Raises OSError."""
        try:
            fd = os.open(self.name, _READ, dir_fd=self.directory)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
                return None
            raise
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        return None

    def identity(self) -> Identity | None:
        """What is there now; None if nothing is."""
        try:
            return Identity.of(
                os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
            )
        except FileNotFoundError:
            return None

    def unlink(self) -> None:
        """Remove the name; it may be gone already."""
        try:
            os.unlink(self.name, dir_fd=self.directory)
        except FileNotFoundError:
            return


@contextmanager
def work_file(top: str, path: bytes) -> Iterator[Entry | None]:
    """A path below ``top``, reached through real directories of one repository only.

    None if there is no such directory. Raises OSError.
    """
    *parents, name = os.fsdecode(path).split("/")
    fd = os.open(top, _DIRECTORY)
    try:
        for parent in parents:
            below = _directory_in(fd, parent)
            if below is None:
                yield None
                return
            os.close(fd)
            fd = below
        yield Entry(fd, name)
    finally:
        os.close(fd)


@contextmanager
def scratch(annex: Annex) -> Iterator[Entry]:
    """A new name in ``othertmp/``, where nothing is swept meanwhile (spec 02 §19).

    Raises OSError and LockTimeout.
    """
    top = annex.paths.othertmp
    with annex.locks.wait_lock(top + ".lck", exclusive=False) as held:
        annex.sharing.share(held.fd)
        annex.make_directories(top)
        fd = os.open(top, _DIRECTORY)
        try:
            yield Entry(fd, f"annexshell{os.urandom(8).hex()}")
        finally:
            os.close(fd)


def _directory_in(above: int, name: str) -> int | None:
    """A directory below another one, of the same repository; None if there is none.

    A symlink is none, and a submodule is another repository. Raises OSError.
    """
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    if Entry(fd, ".git").identity() is None:
        return fd
    os.close(fd)
    return None
