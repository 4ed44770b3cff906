"""The journal's changes of what repositories have, told to git-annex's database of sizes.

Processes that run know the sizes of repositories as they were when they started, and what
the database says has changed since. So each change of a location log is counted there, in
the section of the journal's lock that wrote it (spec 04 §9.5): who adds up the journal has
that lock, and thus sees a change either in the journal or in the totals from there on, not
in both. First the journal, then the database: should we be killed in between, what was
announced is cleaned up, and the change is in the journal.

Most repositories have no such database, and what has to do with it is not loaded for them.
"""

from __future__ import annotations

import itertools
import logging
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from annexshell.errors import AnnexshellError
from annexshell.logs.location import holders
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.errors import SizesUnusable
from annexshell.repository.open import Repository

if TYPE_CHECKING:
    from annexshell.repository.sizedb import SizeDb

log = logging.getLogger(__name__)

ADD = 1
REMOVE = -1
PATIENCE = 5.0
"""Seconds to wait for others that write to the database; the journal may be locked
meanwhile."""
_REST = 60.0
"""Seconds after a failure in which nobody waits for the database."""


def size_directory(repository: Repository) -> tuple[str, str]:
    """Where the database and its lock are, and the directory that must be there already.

    annex.dbdir puts it elsewhere.
    """
    elsewhere = repository.config.get("annex.dbdir")
    if elsewhere:
        return f"{elsewhere}/{os.fsdecode(repository.uuid)}/reposize", elsewhere
    return repository.annex_dir + "/reposize", repository.annex_dir


class Accounts:
    """What one `Branch` and its `RepoSizes` know of the database. For several threads.

    Nothing is opened before it is used, and what is not there is not made.
    """

    def __init__(self, repository: Repository, patience: float = PATIENCE) -> None:
        self.path = size_directory(repository)[0] + "/db/db"
        self.patience = patience
        self.pid: int | None = None
        """What we announce is under this number; see `liveness`."""
        self.missed = False
        """Whether a change could not be counted: then the journal must be asked."""
        self.uncounted: Counter[UUID] | None = None
        """Bytes by repository that we recorded, but the database does not tell of, since
        somebody here last looked; None if nobody has."""
        self.generation = 0
        """Tells the database that was last used from earlier ones; 0 if there was none."""
        self._generations = itertools.count(1)
        self._announced: dict[Key, set[UUID]] = {}
        self._stale: set[Key] = set()
        self._mutex = threading.RLock()
        self._database: SizeDb | None = None
        self._identity: tuple[int, int] | None = None
        self._shunned: tuple[int, int] | None = None
        self._rest_until = 0.0

    @contextmanager
    def using(self) -> Iterator[SizeDb | None]:
        """The database, None if there is none, for this thread alone.

        Raises SizesUnusable.
        """
        with self._mutex:
            database = self._opened()
            if database is not None:
                database.timeout = self._patience_now
                self._take_back(database)
            yield database

    def completed(
        self, key: Key, before: bytes, after: bytes, present: Collection[UUID]
    ) -> None:
        """Count what was just journalled, under the journal's lock; never raises.

        ``before`` and ``after`` are the texts of the key's location log. What we announced
        for those that are ``present`` has come true, also where that is no news.
        """
        done = self._announced.get(key, set()).intersection(present)
        if not key.size or (before == after and not done):
            return
        try:
            with self.using() as database:
                if database is not None:
                    changes = _changes(before, after)
                    if not database.complete(key, changes, done, self.pid):
                        self.missed = True
                    self._came_true(key, done)
                    return
        except AnnexshellError as error:
            self.missed = True
            self.failed(error)
        if self.uncounted is not None:
            for uuid, change in _changes(before, after).items():
                self.uncounted[uuid] += change * key.size

    def announce(self, key: Key, uuids: Collection[UUID]) -> None:
        """Say that repositories will have the key; `pid` is alive. Raises SizesUnusable."""
        with self.using() as database:
            if database is None or self.pid is None:
                return
            # First, so that what is written before a failure is taken back.
            self._announced.setdefault(key, set()).update(uuids)
            database.reserve(self.pid, key, uuids)

    def release(self, key: Key) -> None:
        """Take back what we announced of the key and has not come true; never raises.

        Where that fails it is tried again whenever the database is used.
        """
        if self._announced.pop(key, None) is None:
            return
        self._stale.add(key)
        try:
            with self.using():
                return
        except AnnexshellError as error:
            self.failed(error)

    def failed(self, error: AnnexshellError) -> None:
        """Say so, once a minute; nobody waits for the database in that minute."""
        now = time.monotonic()
        level = logging.DEBUG if now < self._rest_until else logging.WARNING
        log.log(level, "%s", error)
        self._rest_until = now + _REST

    def shun(self) -> None:
        """Go on without the database that is there now, which is broken."""
        with self._mutex:
            self._let_go()
            with suppress(OSError):  # Then it is not there any more.
                status = os.lstat(self.path)
                self._shunned = status.st_dev, status.st_ino

    def close(self) -> bool:
        """Take all back and let go; whether nothing of ours is announced any more."""
        with self._mutex:
            self._stale.update(self._announced)
            self._announced.clear()
            try:
                with self.using():
                    pass
            except AnnexshellError as error:
                self.failed(error)
            self._let_go()
            return not self._stale

    @property
    def _patience_now(self) -> float:
        return 0.0 if time.monotonic() < self._rest_until else self.patience

    # -- with the mutex -------------------------------------------------------------------

    def _came_true(self, key: Key, done: set[UUID]) -> None:
        left = self._announced.get(key, set()) - done
        if left:
            self._announced[key] = left
        else:
            self._announced.pop(key, None)

    def _take_back(self, database: SizeDb) -> None:
        if self._stale and self.pid is not None:
            database.release(self.pid, self._stale)
        self._stale.clear()

    def _opened(self) -> SizeDb | None:
        """The database that is there now: it may have been deleted, or replaced."""
        try:
            status = os.lstat(self.path)
        except OSError:
            self._let_go()
            self._stale.clear()
            return None
        if not stat.S_ISREG(status.st_mode):
            # Another user's work: a link could lead to any database of ours.
            self._let_go()
            raise SizesUnusable(where=self.path, detail="it is no regular file")
        identity = status.st_dev, status.st_ino
        if identity == self._shunned:
            return None
        if self._database is None or identity != self._identity:
            from annexshell.repository.sizedb import SizeDb

            self._let_go()
            self._database = SizeDb(self.path, self._patience_now)
            self._identity = identity
            self.generation = next(self._generations)
        return self._database

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
            self.generation = 0


def _changes(before: bytes, after: bytes) -> dict[UUID, int]:
    """Who has the content now, or has it no more; a status may change without that."""
    had, have = holders(before), holders(after)
    return {
        **dict.fromkeys(sorted(have - had), ADD),
        **dict.fromkeys(sorted(had - have), REMOVE),
    }
