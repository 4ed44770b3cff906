"""git-annex's database: files of a key, and inode caches (spec 02 §13.2, §13.4).

An inode cache is the identity of a file that was seen with a key's content. Whatever keeps
the database from being read counts as "nothing is recorded", and the content is then
judged by its digest. Which files a key has is git-annex's to write, `associated` adds to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from annexshell.errors import StorageFailed
from annexshell.model.key import Key
from annexshell.repository.annex import Annex

if TYPE_CHECKING:
    import sqlite3

_TIMEOUT = 30.0
"""Seconds to wait while others write to the database (spec 02 §13.2)."""
_SCHEMA = """
PRAGMA journal_mode=WAL;
CREATE TABLE "associated"("id" INTEGER PRIMARY KEY,"key" BLOB NOT NULL,
  "file" BLOB NOT NULL,CONSTRAINT "key_file_index" UNIQUE ("key","file"),
  CONSTRAINT "file_key_index" UNIQUE ("file","key"));
CREATE TABLE "content"("id" INTEGER PRIMARY KEY,"key" BLOB NOT NULL,
  "inodecache" VARCHAR NOT NULL,"filesize" VARCHAR NOT NULL,"mtime" INTEGER NOT NULL,
  CONSTRAINT "key_inode_cache_index" UNIQUE ("key","inodecache"),
  CONSTRAINT "inode_cache_key_index" UNIQUE ("inodecache","key"));
"""


class Identity(NamedTuple):
    """A regular file at one moment; if it is edited, this changes."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)

    @property
    def text(self) -> str:
        """``INODE SIZE SECONDS FRACTION`` (spec 02 §13.2)."""
        seconds, nanoseconds = divmod(self.mtime_ns, 10**9)
        fraction = f"{nanoseconds:09}".rstrip("0")
        return f"{self.inode} {self.size} {seconds} {fraction}"


class InodeCache(NamedTuple):
    """An identity as git-annex records it; old ones know no fraction of a second."""

    inode: int
    size: int
    seconds: int
    nanoseconds: int | None

    @classmethod
    def parse(cls, text: str) -> InodeCache | None:
        """``INODE SIZE SECONDS FRACTION``; None if it is not that."""
        fields = text.split(" ")
        try:
            inode, size, seconds = (int(field) for field in fields[:3])
            if len(fields) == 3:
                return cls(inode, size, seconds, None)
            return cls(inode, size, seconds, int(fields[3].ljust(9, "0")[:9]))
        except ValueError:
            return None

    def matches(self, found: Identity, *, weak: bool) -> bool:
        """Whether ``found`` is the recorded file, or with ``weak`` a faithful copy of it."""
        seconds, nanoseconds = divmod(found.mtime_ns, 10**9)
        if weak and self.size == found.size and abs(self.seconds - seconds) < 2:
            return True
        if (self.inode, self.size, self.seconds) != (found.inode, found.size, seconds):
            return False
        return self.nanoseconds is None or self.nanoseconds == nanoseconds


def inode_caches(annex: Annex, key: Key) -> list[InodeCache]:
    """What is recorded for the key; empty also if the database cannot be read."""
    rows = _read(annex, "SELECT inodecache FROM content WHERE key = ?", key)
    found = (InodeCache.parse(str(text)) for (text,) in rows)
    return [cache for cache in found if cache is not None]


def associated_files(annex: Annex, key: Key) -> list[bytes]:
    """Paths that had the key when git-annex last looked, relative to the work tree.

    Not to be trusted: they may be stale, and may lead anywhere.
    """
    rows = _read(annex, "SELECT file FROM associated WHERE key = ?", key)
    return [file for (file,) in rows if isinstance(file, bytes)]


def record_caches(annex: Annex, key: Key, files: Iterable[Identity]) -> None:
    """Add files seen with the key's content; makes the database if there is none.

    Raises StorageFailed and LockTimeout.
    """
    rows = [
        (key.text, file.text, str(file.size), file.mtime_ns // 10**9) for file in files
    ]
    with _opened(annex, create=True) as database:
        database.executemany(
            "INSERT OR IGNORE INTO content (key, inodecache, filesize, mtime)"
            " VALUES (?, ?, ?, ?)",
            rows,
        )


def forget_caches(annex: Annex, key: Key) -> None:
    """Delete all inode caches of the key. Raises StorageFailed and LockTimeout."""
    if not os.path.exists(_database(annex)):
        return
    with _opened(annex, create=False) as database:
        database.execute("DELETE FROM content WHERE key = ?", (key.text,))


def inodes_changed(annex: Annex) -> bool:
    """Whether the repository was copied, so that inodes say nothing (spec 02 §13.4)."""
    try:
        now = os.lstat(annex.paths.sentinal)
        with open(annex.paths.sentinal + ".cache", encoding="ascii") as recorded:
            then = InodeCache.parse(recorded.read(200))
    except (OSError, ValueError):
        return True
    return then is None or not then.matches(Identity.of(now), weak=False)


def _read(annex: Annex, query: str, key: Key) -> list[Any]:
    path = _database(annex)
    if not os.path.exists(path):
        return []
    try:
        import sqlite3
    except ImportError:
        return []
    try:
        name = f"file:{quote(path)}?mode=ro"
        with closing(sqlite3.connect(name, uri=True, timeout=10)) as database:
            return database.execute(query, (key.text,)).fetchall()
    except sqlite3.Error:
        return []


@contextmanager
def _opened(annex: Annex, *, create: bool) -> Iterator[sqlite3.Connection]:
    """The database for one transaction. Raises StorageFailed and LockTimeout."""
    path = _database(annex)
    try:
        import sqlite3

        if create:
            annex.make_directories(os.path.dirname(os.path.dirname(path)))
        lock = annex.locks.wait_lock(os.path.dirname(path) + ".lck", exclusive=True)
        with lock:
            annex.sharing.share(lock.fd)
            if create and not os.path.exists(path):
                _create(annex, path)
            database = sqlite3.connect(
                f"file:{quote(path)}?mode=rw", uri=True, timeout=_TIMEOUT
            )
        with closing(database), database:
            yield database
    except (ImportError, OSError, sqlite3.Error) as error:
        raise StorageFailed(
            action="recording files with content", where=path, detail=error
        ) from error


def _create(annex: Annex, path: str) -> None:
    """Make an empty database elsewhere, and then give it its name; under the lock."""
    import shutil
    import sqlite3

    final = os.path.dirname(path)
    temporary = final + ".tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    annex.make_directories(temporary)
    with closing(sqlite3.connect(f"{temporary}/db")) as database:
        database.executescript(_SCHEMA)
    annex.sharing.share(f"{temporary}/db")
    os.rename(temporary, final)


def _database(annex: Annex) -> str:
    elsewhere = annex.config.get("annex.dbdir")
    if elsewhere:
        return f"{elsewhere}/{os.fsdecode(annex.repository.uuid)}/keysdb/db"
    return annex.paths.annex_dir + "/keysdb/db"
