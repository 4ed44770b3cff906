"""Content on its way in: ``annex/tmp/KEY`` (spec 02 §9.3, §9.4).

One file a key, whoever sends it, so that a broken transfer goes on where it stopped. It is
written at its end only: if somebody else shortened or lengthened it, the sizes tell.
"""

from __future__ import annotations

import errno
import os
import stat

from annexshell.errors import StorageFailed
from annexshell.model.key import Key
from annexshell.model.writing import write_all
from annexshell.repository.annex import Annex, storage, unlink_quietly
from annexshell.repository.objects import CHUNK

_OPEN = (
    os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
)


class Partial:
    """An open temporary file; only the holder of the transfer's locks may have one."""

    def __init__(self, annex: Annex, key: Key) -> None:
        """Open what is there, or a new file. Raises OSError and StorageFailed."""
        self._annex = annex
        self._work = annex.paths.work(key)
        self.path = annex.paths.tmp(key)
        try:
            self.fd = self._open()
        except FileNotFoundError:
            annex.make_directories(os.path.dirname(self.path))
            self.fd = self._open()

    def _open(self) -> int:
        for _ in range(2):
            fd = self._try_open()
            if fd >= 0:
                return fd
            # Another user's, or a second name of some other file: only the name may go.
            self._forget_work()
            unlink_quietly(self.path)
        raise StorageFailed(
            action="opening the temporary file", where=self.path, detail="not writable"
        )

    def _try_open(self) -> int:
        """The descriptor; negative if the file must be replaced by a new one."""
        try:
            fd = os.open(self.path, _OPEN, 0o666)
        except PermissionError:
            fd = self._open_frozen()
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise
            raise self._irregular() from error
        if fd < 0:
            return fd
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise self._irregular()
        if status.st_nlink != 1:
            os.close(fd)
            return -1
        self._share(fd, status)
        return fd

    def _open_frozen(self) -> int:
        """A temporary file may have lost its write bits on the way into place."""
        status = os.lstat(self.path)
        if not stat.S_ISREG(status.st_mode):
            raise self._irregular()
        try:
            os.chmod(self.path, stat.S_IMODE(status.st_mode) | stat.S_IWUSR)
            return os.open(self.path, _OPEN, 0o666)
        except PermissionError:
            return -1

    def _share(self, fd: int, status: os.stat_result) -> None:
        if not status.st_mode & stat.S_IWUSR:
            os.fchmod(fd, stat.S_IMODE(status.st_mode) | stat.S_IWUSR)
        self._annex.sharing.share(fd)

    def _irregular(self) -> StorageFailed:
        return StorageFailed(
            action="opening the temporary file",
            where=self.path,
            detail="it is not a regular file; remove it",
        )

    def size(self) -> int:
        """Bytes in the file. Raises StorageFailed."""
        with storage("reading the temporary file", self.path):
            return os.fstat(self.fd).st_size

    def restart(self) -> None:
        """Throw the bytes away; the work area of a downloader goes with them."""
        self._forget_work()
        os.ftruncate(self.fd, 0)

    def append(self, chunk: bytes | bytearray | memoryview) -> int:
        """Write at the end; returns how many bytes were taken. Raises OSError."""
        return os.write(self.fd, chunk)

    def named(self, path: str) -> bool:
        """Whether ``path`` names this very file."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return False
        ours = os.fstat(self.fd)
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)

    def only_named(self, path: str) -> bool:
        """Whether ``path`` is the one name of this file. Raises OSError."""
        return self.named(path) and os.fstat(self.fd).st_nlink == 1

    def prepare(self) -> None:
        """Make the content durable and read-only, ready to become an object.

        Raises OSError. What could not be made durable is deleted: the kernel reports a
        failed write-back once and then calls the pages clean, so the next attempt would
        resume from them, verify them in memory, and succeed with nothing on the disk.
        """
        self._annex.freezer.protect(self.fd)
        if self._annex.fsync:
            try:
                os.fsync(self.fd)
            except OSError:
                self.discard()
                raise
        self._forget_work()

    def copy_to(self, path: str) -> None:
        """Go on with a durable copy at ``path``, which is on another file system.

        Raises OSError; the original is still there then, and the copy is not.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        unlink_quietly(path)
        fd = os.open(path, flags, 0o600)
        try:
            offset = 0
            while chunk := os.pread(self.fd, CHUNK, offset):
                write_all(fd, memoryview(chunk))
                offset += len(chunk)
            os.fchmod(fd, stat.S_IMODE(os.fstat(self.fd).st_mode))
            if self._annex.fsync:
                os.fsync(fd)
        except BaseException:
            os.close(fd)
            unlink_quietly(path)
            raise
        os.close(self.fd)
        self.fd = fd

    def discard(self) -> None:
        """Delete it: nobody can go on from here. Raises OSError."""
        self._forget_work()
        unlink_quietly(self.path)

    def forget_if_empty(self) -> None:
        """A file without a byte helps nobody to go on. Best effort."""
        try:
            if self.fd >= 0 and self.size() == 0 and self.named(self.path):
                self.discard()
        except (OSError, StorageFailed):
            return

    def close(self) -> None:
        """What is there stays. Twice is harmless."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _forget_work(self) -> None:
        try:
            status = os.lstat(self._work)
        except OSError:
            return
        if stat.S_ISDIR(status.st_mode):
            import shutil

            shutil.rmtree(self._work)
