"""Changes of a repository's refs, as they happen (spec 01 §5.7).

The kernel's events only wake us; what changed is found by reading the refs and comparing
them with what they were. So no event has to be understood, none that was dropped for a
full queue is missed, and a ref that is written while a new directory is about to be
watched is seen: each directory is watched before it is read.

Linked worktrees share their refs, so the common directory is watched. Packed refs are
compared too: packing changes no value and is not reported, a value that changes there is.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from annexshell.repository.durable import Closing
from annexshell.repository.errors import CannotWatch, RefsGone
from annexshell.repository.open import Repository

MERGE = 0.05
"""Seconds that changes are collected for before they are reported together."""
_HEX = b"0123456789abcdef"
_LENGTHS = (40, 64)
_PACKED = "packed-refs"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LIMITS = {
    errno.ENOSPC: "too many directories are watched; raise fs.inotify.max_user_watches",
    errno.EMFILE: "too many programs watch; raise fs.inotify.max_user_instances",
}


class RefWatcher(Closing):
    """Watches the refs of ``repository`` from the moment it is made.

    Raises CannotWatch and RefsGone.
    """

    def __init__(self, repository: Repository) -> None:
        self._common = repository.common_dir
        self._root = os.path.join(repository.common_dir, "refs")
        if repository.config.get("extensions.refstorage") not in (None, "files"):
            raise CannotWatch(where=self._root, detail="its refs are not kept in files")
        self._packed: dict[str, bytes] = {}
        self._packed_mark: tuple[int, ...] | None = None
        self._open()
        try:
            self._identity = self._identify()
            self._loose = self._read_all()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        try:
            import inotify_simple
        except ImportError as error:
            raise CannotWatch(where=self._root, detail=error) from error
        flags = inotify_simple.flags
        written = flags.CREATE | flags.CLOSE_WRITE | flags.MOVED_TO
        self._gone = flags.DELETE_SELF | flags.MOVE_SELF
        self._mask = written | self._gone | flags.ONLYDIR
        self._structure = self._gone | flags.ISDIR | flags.Q_OVERFLOW
        try:
            self._inotify = inotify_simple.INotify(nonblocking=True)
        except (OSError, AttributeError) as error:
            # Systems other than Linux have no such function.
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> CannotWatch:
        number = error.errno if isinstance(error, OSError) else None
        return CannotWatch(where=self._root, detail=_LIMITS.get(number or 0, error))

    def fileno(self) -> int:
        """A descriptor that becomes readable when something may have changed."""
        return int(self._inotify.fileno())

    def close(self) -> None:
        self._inotify.close()

    def woken(self) -> bool:
        """Take what the kernel said; whether it is any reason to look at the refs."""
        return any([self._matters(*event) for event in self._inotify.read(timeout=0)])

    def _matters(self, watch: int, mask: int, cookie: int, name: str) -> bool:
        if watch == self._top:
            return name == _PACKED or bool(mask & self._gone)
        return bool(mask & self._structure) or not name.endswith(".lock")

    def existing(self) -> list[bytes]:
        """What the branches and all loose refs are now; a client may have missed some.

        Packed tags and the like are left out: there may be very many.
        """
        branches = (v for n, v in self._packed.items() if n.startswith("refs/heads/"))
        return list(dict.fromkeys((*self._loose.values(), *branches)))

    def changes(self) -> list[bytes]:
        """The new values of refs that changed since this was last asked.

        Raises CannotWatch, and RefsGone if the directory of the refs is not there any more
        or is another one.
        """
        before = self._packed | self._loose
        self._loose = self._read_all()
        now = self._packed | self._loose
        new = (sha for name, sha in now.items() if before.get(name) != sha)
        return list(dict.fromkeys(new))

    def _read_all(self) -> dict[str, bytes]:
        """All loose refs; also reads what is packed."""
        self._top = self._watch(self._common)
        found = dict(self._read_below(self._root, "refs"))
        # Last: a ref that left its file while we read was packed before that.
        self._read_packed()
        if self._identify() != self._identity:
            raise RefsGone(where=self._root, detail="another directory is there now")
        return found

    def _identify(self) -> tuple[int, int]:
        try:
            status = os.stat(self._root)
        except OSError as error:
            raise RefsGone(where=self._root, detail=error.strerror) from error
        return status.st_dev, status.st_ino

    def _watch(self, path: str) -> int:
        try:
            return int(self._inotify.add_watch(path, self._mask))
        except FileNotFoundError:
            return -1  # a directory that was removed meanwhile; git removes empty ones
        except OSError as error:
            raise self._failed(error) from error

    def _read_below(self, path: str, name: str) -> Iterator[tuple[str, bytes]]:
        # Not by recursion: a client can push a ref as deep as a path can be.
        waiting = [(path, name)]
        while waiting:
            path, name = waiting.pop()
            for entry in self._list(path):
                inside = f"{name}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, inside))
                elif not entry.name.endswith(".lock"):
                    sha = _sha_in(entry.path)
                    if sha is not None:
                        yield inside, sha

    def _list(self, path: str) -> list[os.DirEntry[str]]:
        self._watch(path)
        try:
            with os.scandir(path) as entries:
                return list(entries)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CannotWatch(where=path, detail=error.strerror) from error

    def _read_packed(self) -> None:
        try:
            fd = os.open(os.path.join(self._common, _PACKED), _OPEN)
        except FileNotFoundError:
            self._packed, self._packed_mark = {}, None
            return
        except OSError as error:
            raise CannotWatch(where=_PACKED, detail=error.strerror) from error
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(file.fileno())
            mark = (status.st_ino, status.st_size, status.st_mtime_ns)
            if mark != self._packed_mark:
                self._packed, self._packed_mark = dict(_parse(file.read())), mark


def _sha_in(path: str) -> bytes | None:
    """What a loose ref says; None for a symbolic ref and for what is no ref at all."""
    try:
        fd = os.open(path, _OPEN)
    except OSError:
        return None  # gone again, a link, or not ours to read: nothing can be reported
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        text = file.read(256).rstrip()
    return text if _is_sha(text) else None


def _parse(text: bytes) -> Iterator[tuple[str, bytes]]:
    for line in text.splitlines():
        sha, _, name = line.partition(b" ")
        if _is_sha(sha):
            yield os.fsdecode(name), sha


def _is_sha(text: bytes) -> bool:
    return len(text) in _LENGTHS and not text.translate(None, _HEX)
