"""How git-annex's database of repository sizes is made, and put aside (spec 04 §8)."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing

from annexshell.model.ids import UUID
from annexshell.repository.errors import SizesBroken, SizesUnusable
from annexshell.repository.modes import Sharing

TABLES = (
    'CREATE TABLE "repo_sizes"("id" INTEGER PRIMARY KEY,"repo" BLOB NOT NULL,'
    '"size" VARCHAR NOT NULL,CONSTRAINT "unique_repo" UNIQUE ("repo"))',
    'CREATE TABLE "annex_branch"("id" INTEGER PRIMARY KEY,"commit" VARCHAR NOT NULL,'
    'CONSTRAINT "unique_commit" UNIQUE ("commit"))',
    'CREATE TABLE "live_size_changes"("id" INTEGER PRIMARY KEY,"repo" BLOB NOT NULL,'
    '"key" BLOB NOT NULL,"changeid" VARCHAR NOT NULL,"changepid" VARCHAR NOT NULL,'
    '"change" INTEGER NOT NULL,CONSTRAINT "unique_live_size_change" '
    'UNIQUE ("repo","key","changeid","changepid"))',
    'CREATE TABLE "size_changes"("id" INTEGER PRIMARY KEY,"repo" BLOB NOT NULL,'
    '"rollingtotal" VARCHAR NOT NULL,CONSTRAINT "unique_repo_rolling_total" '
    'UNIQUE ("repo"))',
    'CREATE TABLE "recent_changes"("id" INTEGER PRIMARY KEY,"repo" BLOB NOT NULL,'
    '"key" BLOB NOT NULL,"change" INTEGER NOT NULL,CONSTRAINT "unique_recent_change" '
    'UNIQUE ("repo","key"))',
)
BEGINNING = 10**18
"""The totals of a new database: only their differences mean anything, and none may come
below 0 by removals of what was there before."""
_GARBAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))


def create(path: str, sharing: Sharing, top: str, repos: Iterable[UUID] = ()) -> None:
    """Make a database elsewhere, and then give it its name.

    The totals of ``repos`` begin at `BEGINNING`. To be called with ``reposize/lock`` held,
    and no file at ``path``. Raises SizesUnusable and OSError.
    """
    final = os.path.dirname(path)
    if os.path.isdir(final):
        set_aside(path)  # What is left of one that somebody deleted.
    temporary = final + ".tmp"
    totals = [(repo, str(BEGINNING)) for repo in repos]
    shutil.rmtree(temporary, ignore_errors=True)
    if temporary not in sharing.make_directories(temporary, top):
        # A link, for instance: what it leads to is not ours.
        raise FileExistsError(errno.EEXIST, "this is in the way", temporary)
    try:
        with closing(sqlite3.connect(f"{temporary}/db")) as database:
            database.execute("PRAGMA journal_mode=WAL")
            # Of its own accord sqlite3 commits each table alone, and syncs it.
            with database:
                database.execute("BEGIN")
                for table in TABLES:
                    database.execute(table)
                database.executemany(
                    "INSERT INTO size_changes (repo, rollingtotal) VALUES (?, ?)",
                    totals,
                )
    except sqlite3.Error as error:
        raise failure(path, error) from error
    sharing.share(f"{temporary}/db")
    os.rename(temporary, final)


def set_aside(path: str) -> str:
    """Move a broken database out of the way; where it is then. Raises OSError.

    To be called with ``reposize/lock`` held. Only the last one is kept.
    """
    final = os.path.dirname(path)
    aside = final + ".broken"
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(final, aside)
    return aside


def failure(path: str, error: sqlite3.Error) -> SizesUnusable:
    """What SQLite says of the database at ``path``, as one of our errors."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kind = SizesBroken if code in _GARBAGE else SizesUnusable
    return kind(where=path, detail=error)
