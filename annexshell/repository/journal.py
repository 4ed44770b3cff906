"""The journal: whole new texts of log files, waiting to be committed (spec 03 §7, §12.2).

A journal file takes the place of the branch's file for every reader that is not ours, so
a wrong or empty one loses what all other repositories said. Hence: the new text is made
under the lock from all that is known, written elsewhere, made durable, and only then
renamed into place. The temporary file is not in git-annex's `othertmp`, which any process
may empty, and not in the journal, which any process may commit.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple

from annexshell.errors import JournalFailed, KeyNotStorable
from annexshell.logs.merge import complete_lines
from annexshell.model.writing import write_all
from annexshell.repository.durable import Closing, sync_directory
from annexshell.repository.filelock import FileLock, locks_of
from annexshell.repository.modes import Sharing
from annexshell.repository.open import Repository
from annexshell.repository.remedies import explained
from annexshell.repository.trees import is_safe_path

LOCK_TIMEOUT = 30.0
"""Seconds; git-annex holds the lock for one change or one commit."""
MAX_LOG = 16 << 20
"""Bytes; no log that git-annex writes comes near it."""
_MAX_NAME = 255
_ESCAPED = re.compile(rb"__|_")
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def journal_name(path: bytes) -> bytes:
    """The name of the journal file for a path on the branch."""
    return path.replace(b"_", b"__").replace(b"/", b"_")


def branch_path(name: bytes) -> bytes:
    """The path on the branch that a journal file is for; a lone last ``_`` is dropped."""
    path = _ESCAPED.sub(lambda found: b"_" if found[0] == b"__" else b"/", name)
    return path[:-1] if path.endswith(b"/") else path


class Pending(NamedTuple):
    """A journal file, read: the branch path and the complete lines of its text."""

    name: bytes
    path: bytes
    content: bytes


class Journal:
    """The journal of one repository. Writing is done within `locked`."""

    def __init__(self, repository: Repository) -> None:
        annex = os.fsencode(repository.annex_dir)
        self._annex = annex
        self._public = os.path.join(annex, b"journal")
        self._private = os.path.join(annex, b"journal-private")
        self._temporary = os.path.join(annex, b"annexshell-tmp")
        self._staging = os.path.join(self._temporary, b"journal")
        self._locks = locks_of(repository)
        self._lock = os.path.join(repository.annex_dir, "journal.lck")
        self._sharing = Sharing.parse(repository.config.get("core.sharedrepository"))
        self._fsync = repository.config.boolean("annexshell.fsync", True)

    # -- reading, without the lock --------------------------------------------------------

    def read(self, path: bytes, *, private: bool = False) -> bytes | None:
        """The complete lines waiting for ``path``; None if nothing does.

        Raises JournalFailed.
        """
        directory = self._private if private else self._public
        name = journal_name(path)
        return None if len(name) > _MAX_NAME else self._read(directory, name)

    def names(self, most: int, *, private: bool = False) -> list[bytes]:
        """Up to ``most`` names of files that the branch can have, in no order."""
        found: list[bytes] = []
        directory = self._private if private else self._public
        with _failing(directory):
            try:
                entries = os.scandir(directory)
            except FileNotFoundError:
                return found
            with entries:
                for entry in entries:
                    if len(found) >= most:
                        break
                    if entry.is_file(follow_symlinks=False) and is_safe_path(
                        branch_path(entry.name)
                    ):
                        found.append(entry.name)
        return found

    def paths(self, *, private: bool = False) -> frozenset[bytes]:
        """The branch paths of all that waits. Raises JournalFailed."""
        return frozenset(map(branch_path, self.names(sys.maxsize, private=private)))

    def pending(self, names: Iterable[bytes]) -> list[Pending]:
        """The files of these names, read; a file that has gone is left out.

        Raises JournalFailed.
        """
        found = []
        for name in names:
            content = self._read(self._public, name)
            if content is not None:
                found.append(Pending(name, branch_path(name), content))
        return found

    def _read(self, directory: bytes, name: bytes) -> bytes | None:
        path = directory + b"/" + name
        try:
            # Usually nothing waits, and every request asks for several files.
            fd = os.open(path, _READ)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalFailed(where=path, detail=explained(error)) from error
        with _failing(path):
            try:
                return complete_lines(_contents(fd))
            finally:
                os.close(fd)

    # -- writing --------------------------------------------------------------------------

    def locked(self, timeout: float | None = None) -> FileLock:
        """git-annex's lock on the journal, held until it is closed.

        Raises LockTimeout after ``timeout`` seconds, and JournalFailed.
        """
        if timeout is None:
            timeout = self._locks.patience(LOCK_TIMEOUT)
        with _failing(os.fsencode(self._lock)):
            try:
                return self._take(timeout)
            except FileNotFoundError:
                self._directory(self._annex)
                return self._take(timeout)

    def _take(self, timeout: float) -> FileLock:
        lock = self._locks.wait_lock(self._lock, exclusive=True, timeout=timeout)
        try:
            self._sharing.share(self._lock)
        except BaseException:
            lock.close()
            raise
        return lock

    def check(self, path: bytes, *, private: bool = False) -> None:
        """Raise what `write` would raise for ``path``; to be called within `locked`.

        Content may be removed only once it is known that this can be recorded.
        """
        _checked_name(path)
        directory = self._private if private else self._public
        with _failing(directory):
            self._writable(directory)
            # Not synced: that there is room for it shows when it is written.
            os.unlink(self._write_temporary(b"checked\n", sync=False))

    def write(self, path: bytes, content: bytes, *, private: bool = False) -> None:
        """Make ``content`` the whole text waiting for ``path``, durably.

        To be called within `locked`. Raises JournalFailed, with the old text in place, and
        KeyNotStorable for a path that no file can be named after.
        """
        with self.staged(path, content, private=private) as staged:
            staged.put()
        self.sync(private=private)

    def sync(self, *, private: bool = False) -> None:
        """Have the names of what was written reach the disk. Raises JournalFailed."""
        directory = self._private if private else self._public
        with _failing(directory):
            self._sync_directory(directory)

    def staged(self, path: bytes, content: bytes, *, private: bool = False) -> Staged:
        """`write` in steps: all but the rename and `sync` is done here."""
        directory = self._private if private else self._public
        target = directory + b"/" + _checked_name(path)
        with _failing(target):
            staged = Staged(self._write_temporary(content, sync=self._fsync), target)
            try:
                if self._sharing.shared:
                    self._sharing.share(os.fsdecode(staged.temporary))
                self._writable(directory)
            except BaseException:
                staged.close()
                raise
        return staged

    def _writable(self, directory: bytes) -> None:
        """Make sure that files can be put there. Raises OSError."""
        if not _may_write(directory):
            self._directory(directory)
            if not _may_write(directory):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def remove(self, names: Iterable[bytes]) -> None:
        """Delete files whose content was committed; to be called within `locked`."""
        for name in names:
            path = os.path.join(self._public, name)
            with _failing(path):
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    continue

    def _write_temporary(self, content: bytes, *, sync: bool) -> bytes:
        path = self._staging
        fd = self._open_temporary(path)
        try:
            try:
                write_all(fd, memoryview(content))
                if sync:
                    os.fsync(fd)
            finally:
                os.close(fd)
        except OSError:
            os.unlink(path)
            raise
        return path

    def _open_temporary(self, path: bytes) -> int:
        # One fixed name: the lock is held, so what is there was left by a dead process.
        for _ in range(2):  # the directory may be missing, and the file may be there
            try:
                return os.open(path, _NEW, 0o666)
            except FileNotFoundError:
                self._directory(self._temporary)
            except FileExistsError:
                os.unlink(path)
        return os.open(path, _NEW, 0o666)

    def _directory(self, path: bytes) -> None:
        if os.path.isdir(path):
            return
        top = os.fsdecode(os.path.dirname(self._annex))
        self._sharing.make_directories(os.fsdecode(path), top)
        self._sync_directory(os.path.dirname(path))

    def _sync_directory(self, path: bytes) -> None:
        if self._fsync:
            sync_directory(path)


class Staged(Closing):
    """The new text of a journal file, on the disk but under no name that counts.

    If it is closed without `put`, nothing was changed.
    """

    def __init__(self, temporary: bytes, target: bytes) -> None:
        self.temporary = temporary
        self._target = target
        self._waiting = True

    def put(self) -> None:
        """Make it what waits for the path; to be called once. Raises JournalFailed."""
        with _failing(self._target):
            os.rename(self.temporary, self._target)
        self._waiting = False

    def close(self) -> None:
        if self._waiting:
            self._waiting = False
            with _failing(self._target):
                os.unlink(self.temporary)


class _failing:  # a block, and one that every request enters
    """A block in which the operating system's errors become JournalFailed."""

    __slots__ = ("_path",)

    def __init__(self, path: bytes) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise JournalFailed(where=self._path, detail=explained(error)) from error


def _checked_name(path: bytes) -> bytes:
    """`journal_name`, where it is a name that can be. Raises KeyNotStorable."""
    name = journal_name(path)
    if len(name) > _MAX_NAME:
        detail = f"the name of its log takes {len(name)} bytes, {_MAX_NAME} is the most"
        raise KeyNotStorable(key=path, detail=detail)
    if branch_path(name) != path:
        # A component that starts with _ comes back as one that ends with it.
        raise KeyNotStorable(key=path, detail="its log would be taken for another")
    return name


def _may_write(directory: bytes) -> bool:
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=True)


def _contents(fd: int) -> bytes:
    """All of a log. Raises OSError for what is none, and where there is too much."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    if status.st_size > MAX_LOG:
        raise OSError(errno.EFBIG, f"over {MAX_LOG} bytes")
    found = b""
    while len(found) < status.st_size:
        more = os.read(fd, status.st_size - len(found))
        if not more:
            break
        found += more
    return found
