"""Inode caches: which files git-annex saw with a key's content (spec 02 §13.2, §13.4).

Only read. Whatever keeps the database from being read counts as "nothing is recorded",
and the content is then judged by its digest.
"""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import quote

from annexshell.model.key import Key
from annexshell.repository.annex import Annex


class Identity(NamedTuple):
    """A regular file at one moment; if it is edited, this changes."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


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
    path = _database(annex)
    if not os.path.exists(path):
        return []
    try:
        import sqlite3
    except ImportError:
        return []
    query = "SELECT inodecache FROM content WHERE key = ?"
    try:
        database = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=10)
        try:
            rows = database.execute(query, (key.text,)).fetchall()
        finally:
            database.close()
    except sqlite3.Error:
        return []
    found = (InodeCache.parse(str(text)) for (text,) in rows)
    return [cache for cache in found if cache is not None]


def inodes_changed(annex: Annex) -> bool:
    """Whether the repository was copied, so that inodes say nothing (spec 02 §13.4)."""
    try:
        now = os.lstat(annex.paths.sentinal)
        with open(annex.paths.sentinal + ".cache", encoding="ascii") as recorded:
            then = InodeCache.parse(recorded.read(200))
    except (OSError, ValueError):
        return True
    return then is None or not then.matches(Identity.of(now), weak=False)


def _database(annex: Annex) -> str:
    elsewhere = annex.config.get("annex.dbdir")
    if elsewhere:
        return f"{elsewhere}/{os.fsdecode(annex.repository.uuid)}/keysdb/db"
    return annex.paths.annex_dir + "/keysdb/db"
