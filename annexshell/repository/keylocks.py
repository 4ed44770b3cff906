"""Locks of a gateway on one key, among its sessions: git-annex knows nothing of them.

*upload* is held for the whole of a PUT to a cluster: two sessions that send one key to the
same nodes would else each hold a node that the other waits for. It is a file, whose times
tell that its holder gets on; a free one has none, save after a death. *change* is held while
nodes change what they have and until that is recorded, so that the log tells what came
last. Every upload and removal takes it, so it is one byte of a file that stays, found by
the key's checksum. They are locks of the open file: whoever dies lets go.
"""

from __future__ import annotations

import os
from contextlib import suppress

from annexshell.model.key import Key
from annexshell.repository.annex import storage
from annexshell.repository.durable import Closing
from annexshell.repository.filelock import FileLock, lock_byte, open_lock_file, try_lock
from annexshell.repository.modes import Sharing
from annexshell.repository.open import Repository
from annexshell.repository.waiting import Trace

_NAME_MAX = 255
_PLACE = 8
"""Bytes of the checksum that tell a key's byte. Keys that share one, as chunks of one key
do, only wait for each other."""
_TRIES = 100
"""Attempts at a file that others delete at the same time; more means that it is held."""


class KeyLock(Closing):
    """A held lock. Closing it deletes its file."""

    def __init__(self, held: FileLock) -> None:
        self._held = held

    def touch(self) -> None:
        """Tell those who wait that the holder gets on. Raises StorageFailed."""
        with storage("noting progress", self._held.path):
            os.utime(self._held.fd)

    def close(self) -> None:
        """Let go. Twice is harmless."""
        if self._held.fd < 0:
            return
        try:
            if self._held.same_file():
                os.unlink(self._held.path)
        except OSError:
            # The file stays, and is used by whoever is next.
            return self._held.close()
        self._held.close()


class ChangeLock(Closing):
    """A held *change* lock."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        """Let go. Twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class KeyLocks:
    """The locks of one gateway, in ``directory``, which is made when it is needed.

    ``top`` is the directory above which nothing is made. ``lockable`` is false where files
    cannot be relied on for locks: who cannot have one then goes on without.
    """

    def __init__(
        self,
        directory: str,
        top: str,
        sharing: Sharing = Sharing(),
        *,
        lockable: bool = True,
    ) -> None:
        self._directory = directory
        self._top = top
        self._sharing = sharing
        self.lockable = lockable

    @classmethod
    def of(cls, repository: Repository) -> KeyLocks:
        """The locks of a repository; annex.pidlock says that its disk has none."""
        return cls(
            repository.annex_dir + "/annexshell",
            repository.annex_dir,
            Sharing.parse(repository.config.get("core.sharedrepository")),
            lockable=not repository.config.boolean("annex.pidlock", False),
        )

    def try_upload(self, key: Key) -> KeyLock | None:
        """The *upload* lock; None if another session has it. Raises StorageFailed."""
        return self._try(self.upload_path(key))

    def try_change(self, key: Key) -> ChangeLock | None:
        """The *change* lock; None if another session has it. Raises StorageFailed."""
        with storage("locking a key", self.change_path):
            fd = self._open_changes()
            held = None
            try:
                if lock_byte(fd, int.from_bytes(key.digest[:_PLACE]) >> 2):
                    held = ChangeLock(fd)
            finally:
                if held is None:
                    os.close(fd)
        return held

    def upload_path(self, key: Key) -> str:
        return self._path("upload", key)

    @property
    def change_path(self) -> str:
        """The file with a byte for every key."""
        return self._directory + "/changes"

    def upload_trace(self, key: Key) -> Trace | None:
        """What changes whenever the upload under way gets on; None if there is none.

        Raises StorageFailed.
        """
        path = self.upload_path(key)
        with storage("looking at an upload", path):
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _path(self, kind: str, key: Key) -> str:
        name = b"%b.%b" % (kind.encode(), key.file_name)
        if len(name) > _NAME_MAX:
            # Keys that share a lock for this only wait for each other.
            name = b"%b.%b" % (kind.encode(), key.digest.hex().encode())
        return f"{self._directory}/{os.fsdecode(name)}"

    def _open_changes(self) -> int:
        """Raises OSError."""
        path = self.change_path
        try:
            fd = open_lock_file(path, exclusive=True, create=False)
        except FileNotFoundError:
            self._sharing.make_directories(self._directory, self._top)
            _make_for_owner(self._directory, os.path.basename(path))
            fd = open_lock_file(path, exclusive=True)
        try:
            self._sharing.share(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _try(self, path: str) -> KeyLock | None:
        with storage("locking a key", path):
            for _ in range(_TRIES):
                try:
                    held = try_lock(path, exclusive=True)
                except FileNotFoundError:
                    self._sharing.make_directories(self._directory, self._top)
                    continue
                if held is None:
                    return None
                if held.same_file():
                    self._sharing.share(held.fd)
                    return KeyLock(held)
                # Its last holder has just deleted it.
                held.close()
        return None


def _make_for_owner(directory: str, name: str) -> None:
    """Make a file that stays. Root's is the directory's owner's, who else could not lock it.

    The directory is opened first: what may lie there by then is not followed. Raises
    OSError.
    """
    where = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, 0o666, dir_fd=where)
        except FileExistsError:
            return  # Another session was faster.
        try:
            owner = os.fstat(where)
            if os.geteuid() == 0 != owner.st_uid:
                with suppress(OSError):  # a disk may know no such user
                    os.fchown(fd, owner.st_uid, owner.st_gid)
        finally:
            os.close(fd)
    finally:
        os.close(where)
