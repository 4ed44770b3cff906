"""git-annex's database of repository sizes: its tables, and one method a transaction.

What is in it is a cache of the git-annex branch, with what is on its way added (spec 04 §8,
§9). git-annex's processes and other sessions read and write it at the same time. How the
transactions go together is told in `sizes` and `accounts`.

SQLite locks the file with POSIX locks, which end when any descriptor of the file is closed:
nothing here may open it but SQLite.

Where a repository is shared, another user may have written what is in the file, be it a
schema whose triggers and views never end. So nothing is run that the file asks for, no
transaction goes on for ever, and what it has is not believed to be of the right type.
"""

from __future__ import annotations

import itertools
import math
import os
import sqlite3
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

from annexshell.errors import MalformedKey
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.accounts import ADD, REMOVE
from annexshell.repository.errors import SizesBroken, SizesUnusable
from annexshell.repository.git import ObjectId
from annexshell.repository.sizetables import TABLES, failure

_NAMES = frozenset(table.split('"')[1] for table in TABLES)
_COUNTED = """SELECT DISTINCT repo, key FROM live_size_changes AS live WHERE change = 1
 AND NOT EXISTS (SELECT 1 FROM recent_changes AS recent WHERE recent.repo = live.repo
 AND recent.key = live.key AND recent.change = live.change)"""
"""What several processes add to one repository is added once, and what has been
recorded as added is in the totals by now (spec 04 §9.1)."""
_SECURE = ("trusted_schema=OFF", "cell_size_check=ON")
"""What SQLite recommends for files of others."""
_MOST_BYTES = 32 << 20
"""Of one value; a log of the branch has less."""
_LONGEST = 10.0
"""Seconds that one transaction may take, once it has begun."""
_STEPS = 10_000
"""Instructions of SQLite's between two looks at the clock."""
_TOO_LARGE: int = 10**4200
"""Sums of the sizes of keys are smaller, and Python can print what is smaller."""


class Recorded(NamedTuple):
    """The sizes as of one commit of the git-annex branch, the journal not included."""

    commit: ObjectId
    sizes: dict[UUID, int]


class Snapshot(NamedTuple):
    """What all processes have told of what they do, at one moment."""

    totals: dict[UUID, int]
    """Of each repository all that was ever recorded; differences of it have a meaning."""
    live: dict[UUID, int]
    """Bytes on their way to each repository."""
    pids: frozenset[str]
    """The processes that have rows of what is on its way."""


class _Clock:
    """When SQLite has to give up; apart from `SizeDb`, which its connection must not keep."""

    def __init__(self) -> None:
        self._end = math.inf

    def start(self) -> None:
        self._end = time.monotonic() + _LONGEST

    def stop(self) -> None:
        self._end = math.inf

    def is_over(self) -> bool:
        return time.monotonic() > self._end


class SizeDb:
    """An open database, for one thread at a time.

    Its methods raise SizesUnusable, and wait ``timeout`` seconds for others that write.
    """

    def __init__(self, path: str, timeout: float) -> None:
        """Open an existing one, at ``path``. Raises SizesBroken if it is none."""
        self.path = path
        self.timeout = timeout
        self._serial = itertools.count(1)
        self._clock = _Clock()
        with self._failing():
            name = f"file:{quote(os.fsencode(path))}?mode=rw"
            self._connection = sqlite3.connect(
                name,
                uri=True,
                timeout=timeout,
                isolation_level=None,
                check_same_thread=False,
            )
            # Branches are not closed, and an open connection would be complained of.
            weakref.finalize(self, self._connection.close)
            self._check()

    def _check(self) -> None:
        try:
            # Without waiting for the disk: what a power cut takes away are the last
            # changes, all of them together. They are in the journal, which is durable, and
            # whoever starts after that reads it there.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            for setting in _SECURE:
                self._connection.execute(f"PRAGMA {setting}")
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
            self._connection.set_progress_handler(self._clock.is_over, _STEPS)
            self._clock.start()
            self._check_schema()
        except BaseException:
            self._connection.close()
            raise

    def _check_schema(self) -> None:
        run = self._connection.execute
        listed = run("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'")
        missing = _NAMES - {name for (name,) in listed}
        if missing:
            # A later git-annex may have other tables: those are not for us to judge.
            kind = SizesBroken if missing == _NAMES else SizesUnusable
            raise kind(where=self.path, detail=f"it has no table {min(missing)}")
        triggers = run("SELECT 1 FROM sqlite_master WHERE type = 'trigger' LIMIT 1")
        if triggers.fetchone():
            detail = "it has a trigger, which git-annex makes none of"
            raise SizesUnusable(where=self.path, detail=detail)

    def close(self) -> None:
        """Twice is harmless."""
        self._connection.close()

    # -- reading --------------------------------------------------------------------------

    def recorded(self) -> Recorded | None:
        """The sizes that are recorded; None if they are not, or for several commits."""
        with self._transaction("DEFERRED") as run:
            commits = run('SELECT "commit" FROM annex_branch').fetchall()
            if len(commits) != 1:
                return None
            rows = run("SELECT repo, size FROM repo_sizes").fetchall()
            return Recorded(ObjectId(str(commits[0][0])), self._numbers(rows))

    def snapshot(self) -> Snapshot:
        """What is and was on its way, as far as it was told."""
        with self._transaction("DEFERRED") as run:
            totals = run("SELECT repo, rollingtotal FROM size_changes").fetchall()
            rows = run("SELECT DISTINCT changepid FROM live_size_changes").fetchall()
            counted = run(_COUNTED).fetchall() if rows else []
        live: dict[UUID, int] = {}
        for repo, key in counted:
            uuid = UUID(_blob(repo))
            live[uuid] = live.get(uuid, 0) + _size_of(_blob(key))
        pids = frozenset(str(pid) for (pid,) in rows)
        return Snapshot(self._numbers(totals), live, pids)

    # -- writing --------------------------------------------------------------------------

    def record(self, commit: ObjectId, sizes: Mapping[UUID, int]) -> None:
        """Have these be the sizes as of the commit of the branch.

        The totals stay: others remember what they were. Of the recent changes those stay
        that somebody may complete a second time.
        """
        rows = [(repo, str(size)) for repo, size in sizes.items()]
        with self._transaction("IMMEDIATE") as run:
            run("DELETE FROM repo_sizes")
            self._connection.executemany(
                "INSERT INTO repo_sizes (repo, size) VALUES (?, ?)", rows
            )
            run("DELETE FROM annex_branch")
            run('INSERT INTO annex_branch ("commit") VALUES (?)', (commit,))
            run(
                "DELETE FROM recent_changes WHERE NOT EXISTS (SELECT 1"
                " FROM live_size_changes AS live WHERE live.repo = recent_changes.repo"
                " AND live.key = recent_changes.key"
                " AND live.change = recent_changes.change)"
            )

    def reserve(self, pid: int, key: Key, repos: Iterable[UUID]) -> None:
        """Announce that repositories will have the key, which do not by the log.

        Who lost it without telling us may be listed as having got it recently, and that
        would have nobody count the announcement (see ``_COUNTED``).
        """
        changeid = str(next(self._serial))
        rows = [(repo, key.text, changeid, str(pid), ADD) for repo in repos]
        with self._transaction("IMMEDIATE"):
            self._connection.executemany(
                "DELETE FROM recent_changes WHERE repo = ? AND key = ? AND change = ?",
                [(repo, text, change) for repo, text, _, _, change in rows],
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO live_size_changes"
                " (repo, key, changeid, changepid, change) VALUES (?, ?, ?, ?, ?)",
                rows,
            )

    def complete(
        self,
        key: Key,
        changes: Mapping[UUID, int],
        done: Iterable[UUID],
        pid: int | None,
    ) -> bool:
        """Count what was news in the journal: ADD or REMOVE, by repository.

        Our announcements that ``done`` will have the key have come true. To be called
        within the section of the journal's lock that recorded it. Returns whether all
        could be counted: git-annex cannot read a total below 0.
        """
        counted = True
        with self._transaction("IMMEDIATE") as run:
            for repo, change in changes.items():
                counted &= self._count(run, repo, key, change)
            if pid is not None:
                for repo in done:
                    run(
                        "DELETE FROM live_size_changes WHERE repo = ? AND key = ?"
                        " AND changepid = ? AND change = 1",
                        (repo, key.text, str(pid)),
                    )
        return counted

    def _count(self, run: Any, repo: UUID, key: Key, change: int) -> bool:
        """Whether the total says it all. What is not known exactly is too much."""
        found = run(
            "SELECT change FROM recent_changes WHERE repo = ? AND key = ?",
            (repo, key.text),
        ).fetchone()
        if change == REMOVE and found == (REMOVE,):
            return True  # What it got since then was not counted.
        # By the log an addition is news: a removal since the last one was not counted.
        total = run(
            "SELECT repo, rollingtotal FROM size_changes WHERE repo = ?", (repo,)
        ).fetchall()
        size = self._numbers(total).get(repo, 0) + change * (key.size or 0)
        run(
            "INSERT INTO size_changes (repo, rollingtotal) VALUES (?, ?)"
            " ON CONFLICT (repo) DO UPDATE SET rollingtotal = excluded.rollingtotal",
            (repo, str(max(size, 0))),
        )
        run(
            "INSERT INTO recent_changes (repo, key, change) VALUES (?, ?, ?)"
            " ON CONFLICT (repo, key) DO UPDATE SET change = excluded.change",
            (repo, key.text, change),
        )
        return size >= 0

    def release(self, pid: int, keys: Iterable[Key]) -> None:
        """Take back what the process announced of these keys."""
        values = [(str(pid), key.text) for key in keys]
        with self._transaction("IMMEDIATE"):
            self._connection.executemany(
                "DELETE FROM live_size_changes WHERE changepid = ? AND key = ?", values
            )

    def rename(self, old: int, new: int) -> None:
        """Have a process's announcements under another number."""
        with self._transaction("IMMEDIATE") as run:
            run(
                "UPDATE live_size_changes SET changepid = ? WHERE changepid = ?",
                (str(new), str(old)),
            )

    def forget(self, pids: Iterable[str]) -> None:
        """Delete all that processes announced, which are dead."""
        with self._transaction("IMMEDIATE"):
            self._connection.executemany(
                "DELETE FROM live_size_changes WHERE changepid = ?",
                [(pid,) for pid in pids],
            )

    # -- parts ----------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[Any]:
        with self._failing():
            run = self._connection.execute
            run(f"PRAGMA busy_timeout={int(self.timeout * 1000)}")
            self._clock.stop()
            run(f"BEGIN {kind}")
            try:
                self._clock.start()
                yield run
                run("COMMIT")
            except BaseException:
                self._clock.stop()
                if self._connection.in_transaction:
                    run("ROLLBACK")
                raise

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise failure(self.path, error) from error

    def _numbers(self, rows: list[tuple[Any, Any]]) -> dict[UUID, int]:
        try:
            found = {UUID(_blob(repo)): int(number) for repo, number in rows}
        except (ValueError, TypeError, OverflowError) as error:
            raise SizesBroken(where=self.path, detail=error) from error
        if any(abs(number) >= _TOO_LARGE for number in found.values()):
            raise SizesBroken(where=self.path, detail="it has a size that cannot be")
        return found


def _blob(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _size_of(key: bytes) -> int:
    try:
        return Key.parse(key).size or 0
    except MalformedKey:
        return 0
