"""One lock for a whole repository, on file systems without locks (spec 02 §8).

With annex.pidlock a file, ``annex/pidlock``, says which process may lock anything; it is
held by the first lock and given up with the last. Lock files are opened and made as
always, but locked only within this process, in a table, by what they are on the disk.
Sessions and repositories opened twice share the pid lock and the table.

A pid lock left by a dead process of this machine is taken over: its side lock is free,
and its number nobody's, or a younger process's. One of another machine, or that cannot be
understood, never is.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from annexshell.model.writing import write_all
from annexshell.repository import sidelock
from annexshell.repository.filelock import FileLock, Locks, open_lock_file, wait_for
from annexshell.repository.gitprocess import is_inherited
from annexshell.repository.open import Repository
from annexshell.repository.processes import is_maker
from annexshell.repository.programs import LENDERS
from annexshell.repository.sidelock import SideLock

_TEXT = re.compile(
    rb'PidLock \{lockingPid = (-?[0-9]{1,18}), lockingHost = "([^"\\\n]{0,255})"\}\s*\Z'
)
_LONGEST = 1000
_TIMEOUT = 300
"""Seconds to wait for the lock (annex.pidlocktimeout)."""
GRACE = 2.0
"""Seconds to wait for it where a lock of a thing's own would not be waited for."""
_OURS = "+annexshell"
"""Follows the host's name where git-annex cannot see our side lock, and would take us for
dead: another host's lock it leaves alone."""
_NO_LINKS = frozenset((errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK))
_LETTING_GO = 0.3
"""Seconds that giving up a pid lock may take once its side lock was given up."""
_PAUSE = 0.01
_TRIES = 3
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_serial = itertools.count()


class Owner(NamedTuple):
    """What a pid lock says."""

    pid: int
    host: str

    @classmethod
    def parse(cls, text: bytes) -> Owner | None:
        """None if it is not what git-annex writes, or we."""
        found = _TEXT.match(text)
        if found is None:
            return None
        return cls(int(found[1]), found[2].decode("utf-8", "surrogateescape"))

    @property
    def text(self) -> bytes:
        said = f'PidLock {{lockingPid = {self.pid}, lockingHost = "{self.host}"}}'
        return said.encode("utf-8", "surrogateescape")

    def is_of(self, host: str) -> bool:
        return self.host in (host, host + _OURS)


class PidLock:
    """The pid lock of one repository, for all of this process."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.variable = "PIDLOCK_" + re.sub("[^A-Za-z0-9_]", "", path)
        self.table: dict[tuple[int, int], int] = {}
        """Locked files: how many share the lock, -1 for an exclusive one."""
        self.mutex = threading.Lock()
        self._users = 0
        self._side: SideLock | None = None
        self._said = b""
        self._host = os.uname().nodename

    def take(self) -> bool:
        """Hold it, once more; False if another process does. Raises OSError."""
        with self.mutex:
            if not self._users and not self._is_lent_to_us() and not self._acquire():
                return False
            self._users += 1
            return True

    def lend(self) -> bool:
        """Hold it once more if it is held."""
        with self.mutex:
            self._users += bool(self._users)
            return bool(self._users)

    def give_back(self) -> None:
        """The opposite of `take` and `lend`."""
        with self.mutex:
            self._users -= 1
            if not self._users:
                self._release()

    def descriptors(self) -> list[int]:
        """Whoever inherits these keeps others from it; none if it was lent to us."""
        with self.mutex:
            return [] if self._side is None else self._side.descriptors

    def foreign_owner(self) -> str | None:
        """The other process that holds it, for a person to read; None if none does."""
        with self.mutex:
            if self._users or self._is_lent_to_us():
                return None
        text = _read(self.path)
        if text is None:
            found = sidelock.owner(self.path)
            return f"{found} ({self.path})" if found else None
        owner = Owner.parse(text)
        if owner is None:
            return f"somebody ({self.path} cannot be understood)"
        told = f"process {owner.pid} on {owner.host.removesuffix(_OURS)}"
        if owner.is_of(self._host):
            alive = sidelock.owner(self.path) or is_maker(owner.pid, self.path)
            return f"{told} ({self.path})" if alive else None
        return f"{told} (delete {self.path} there only if that process is gone)"

    def _is_lent_to_us(self) -> bool:
        """Whether who started us holds the lock, and holds it still."""
        return (
            is_inherited(self.variable)
            and os.path.lexists(self.path)
            and sidelock.owner(self.path) is not None
        )

    # -- under the mutex ------------------------------------------------------------------

    def _acquire(self) -> bool:
        side = sidelock.take(self.path)
        if side is None:
            return False
        host = self._host if side.seen else self._host + _OURS
        said = Owner(os.getpid(), host).text
        claimed = False
        try:
            claimed = self._claim(said)
        finally:
            if claimed:
                self._side, self._said = side, said
            else:
                side.close()
        return claimed

    def _release(self) -> None:
        """The pid lock goes first: while the side lock is held nobody takes it over."""
        side, self._side = self._side, None
        if side is None:
            return  # It was lent to us.
        with suppress(OSError):  # A file that stays is taken over by the next.
            if _read(self.path) == self._said:
                os.unlink(self.path)
        side.close()

    def _claim(self, text: bytes) -> bool:
        """Make the pid lock under the side lock; False if it is taken."""
        name = f"locktmp{os.getpid():x}-{next(_serial)}-annexshell"
        temporary = f"{os.path.dirname(self.path)}/{name}"
        made = _write(temporary, text)
        try:
            for _ in range(_TRIES):
                if self._link(temporary, made, text) or self._take_over(temporary):
                    return True
                if os.path.lexists(self.path):
                    return False
            return False
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)

    def _link(self, temporary: str, made: os.stat_result, text: bytes) -> bool:
        """Give our file the lock's name, if nothing has that."""
        try:
            os.link(temporary, self.path)
            return True
        except OSError as error:
            number = error.errno
        with suppress(FileNotFoundError):
            # Over a network the answer may be lost where the link was made.
            return os.path.samestat(os.lstat(self.path), made)
        if number == errno.EEXIST:
            return False  # Whoever had it let go just now.
        if number not in _NO_LINKS:
            raise OSError(number, os.strerror(number or 0), self.path)
        with suppress(FileExistsError):
            _write(self.path, text)
            return True
        return False

    def _take_over(self, temporary: str) -> bool:
        """Replace the lock of a dead process of this machine.

        That we have the side lock does not tell that it is dead. git-annex names its side
        lock by the path that it was given, through whatever links, and gives it up first.
        """
        deadline = time.monotonic() + _LETTING_GO
        while True:
            owner = Owner.parse(_read(self.path) or b"")
            if owner is None or not owner.is_of(self._host):
                return False
            if not is_maker(owner.pid, self.path):
                os.rename(temporary, self.path)
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)


class PidFileLock(FileLock):
    """A file that is locked in the table, which keeps the pid lock held."""

    def __init__(
        self, fd: int, path: str, lock: PidLock, release: Callable[[], None]
    ) -> None:
        super().__init__(fd, path)
        self._lock = lock
        self._release = release

    @property
    def descriptors(self) -> list[int]:
        # The file's own carries nothing. The side lock outlives us with its heir.
        return self._lock.descriptors()

    def close(self) -> None:
        if self._fd >= 0:
            # While the file is open nothing else can be what it is on the disk.
            self._release()
            super().close()


class PidLocks(Locks):
    """The locks of a repository with annex.pidlock; ``timeout`` is in seconds."""

    def __init__(self, lock: PidLock, timeout: float) -> None:
        self._lock = lock
        self._timeout = timeout

    def try_lock(
        self, path: str, *, exclusive: bool, writable: bool = False
    ) -> FileLock | None:
        if not self._take_soon():
            return None
        try:
            fd = open_lock_file(path, exclusive=exclusive or writable)
            return self.lock_descriptor(fd, path, exclusive=exclusive)
        finally:
            self._lock.give_back()

    def _take_soon(self) -> bool:
        """A session that just commits what it recorded is no reason to refuse."""
        deadline = time.monotonic() + GRACE
        while not self._lock.take():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def lock_descriptor(
        self, fd: int, path: str, *, exclusive: bool
    ) -> FileLock | None:
        held = None
        try:
            if self._lock.take():
                held = self._enter(fd, path, exclusive)
                if held is None:
                    self._lock.give_back()
            return held
        finally:
            if held is None:
                os.close(fd)

    def _enter(self, fd: int, path: str, exclusive: bool) -> FileLock | None:
        status = os.fstat(fd)
        name, table = (status.st_dev, status.st_ino), self._lock.table
        with self._lock.mutex:
            holders = table.get(name, 0)
            if holders and (exclusive or holders < 0):
                return None
            table[name] = -1 if exclusive else holders + 1
        return PidFileLock(fd, path, self._lock, lambda: self._leave(name))

    def _leave(self, name: tuple[int, int]) -> None:
        table = self._lock.table
        with self._lock.mutex:
            left = max(0, table.pop(name) - 1)
            if left:
                table[name] = left
        self._lock.give_back()

    def wait_lock(
        self, path: str, *, exclusive: bool, timeout: float | None = None
    ) -> FileLock:
        return wait_for(
            lambda: self._attempt(path, exclusive),
            self._timeout if timeout is None else timeout,
            path,
            self.holder_of,
        )

    def _attempt(self, path: str, exclusive: bool) -> FileLock | None:
        with self.kept() as ours:
            return self.try_lock(path, exclusive=exclusive) if ours else None

    def holder_of(self, path: str, *, exclusive_only: bool = False) -> str | None:
        with suppress(OSError):
            status = os.lstat(path)
            with self._lock.mutex:
                holders = self._lock.table.get((status.st_dev, status.st_ino), 0)
            if holders < 0 or (holders and not exclusive_only):
                return "another session"
        # What another process locked it for cannot be told.
        return None if exclusive_only else self.held_elsewhere()

    def patience(self, usual: float) -> float:
        return self._timeout

    def held_elsewhere(self) -> str | None:
        return self._lock.foreign_owner()

    @contextmanager
    def kept(self) -> Iterator[bool]:
        ours = self._lock.take()
        try:
            yield ours
        finally:
            if ours:
                self._lock.give_back()


_known: dict[str, PidLock] = {}
_knowing = threading.Lock()


def pid_locks(repository: Repository) -> PidLocks:
    """The locks of a repository whose config has annex.pidlock."""
    path = repository.annex_dir + "/pidlock"
    with _knowing:
        lock = _known.get(path)
        if lock is None:
            lock = _known[path] = PidLock(path)
            LENDERS.append(lock)
    timeout = repository.config.integer("annex.pidlocktimeout", _TIMEOUT)
    return PidLocks(lock, max(0, timeout))


def _write(path: str, text: bytes) -> os.stat_result:
    """A new file for everybody to read; what it is on the disk. Raises OSError.

    There is none then: half a lock would be understood, and broken, by nobody.
    """
    fd = os.open(path, _NEW, 0o600)
    try:
        write_all(fd, text)
        os.fchmod(fd, 0o444)
        return os.fstat(fd)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _read(path: str) -> bytes | None:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError:
        return b""  # Something that nobody can understand is there.
    try:
        return os.read(fd, _LONGEST) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)
