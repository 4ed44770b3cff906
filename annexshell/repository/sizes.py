"""How much each repository holds now, and deciding by it one at a time (spec 04 §9, §10).

Sizes are those that the logs tell, and what is on its way: each process says in git-annex's
database what it is about to store where, before another one may decide. ``reposize/lock``
is held from looking to saying so. The journal's lock is taken while it is held, not the
other way round; the database last, for a moment.

Nothing here may fail a request. Without the database sizes are read from the logs each
time, and nobody hears of us; without the lock we may decide at the same time as others.

With annex.pidlock nothing is announced. git-annex holds the one lock for the rest of its
life once it did that, since it takes whoever has no lock for dead; a server that did the
same would serve one client at a time. Our announcements would be deleted by git-annex. So
there two sessions can choose the same free space.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from annexshell.errors import AnnexshellError, LockTimeout
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.accounts import Accounts, size_directory
from annexshell.repository.branch import Branch
from annexshell.repository.durable import Closing
from annexshell.repository.errors import SizesBroken, SizesUnusable
from annexshell.repository.filelock import locks_of
from annexshell.repository.liveness import LiveFile, Watch
from annexshell.repository.modes import Sharing
from annexshell.repository.open import Repository
from annexshell.repository.remedies import explained
from annexshell.repository.sizebase import Bases
from annexshell.repository.sizing import Measured

if TYPE_CHECKING:
    from annexshell.repository.sizedb import SizeDb, Snapshot

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds to wait until others have decided, or have measured the branch."""
_REST = 60.0
"""Seconds after that in which we do not wait a second time."""


class Deciding:
    """Sizes at one moment. Others decide when its block is left."""

    def __init__(self, sizes: Mapping[UUID, int], owner: RepoSizes) -> None:
        self.sizes = sizes
        """Bytes by repository, with what is on its way there; empty if not known."""
        self._owner = owner

    def reserve(self, key: Key, uuids: Collection[UUID]) -> None:
        """Announce that the repositories will have the key. Never raises."""
        self._owner._announce(key, uuids)


class RepoSizes(Closing):
    """The sizes as one session sees them. Blocks; fit for threads; nothing raises.

    ``patience`` is in seconds, for each lock. Nothing is opened before it is used. What was
    reserved and not recorded as stored is given up by `release` or `close`.
    """

    def __init__(
        self, repository: Repository, branch: Branch, *, patience: float = PATIENCE
    ) -> None:
        self._accounts: Accounts = branch.accounts
        self._directory, self._top = size_directory(repository)
        self._live_directory = self._directory + "/live"
        self._locks = locks_of(repository)
        self._sharing = Sharing.parse(repository.config.get("core.sharedrepository"))
        self._announces = not repository.config.boolean("annex.pidlock", False)
        self._watch = Watch(self._live_directory, self._locks)
        self._bases = Bases(
            repository, branch, self._accounts, self._directory, self._record
        )
        self._live: LiveFile | None = None
        self._patience = patience
        self._rest_until = 0.0
        # Who announces may hold the lock that who looks waits for.
        self._mutex = threading.Lock()
        self._announcing = threading.Lock()

    @contextmanager
    def deciding(self) -> Iterator[Deciding]:
        """Nobody else decides within the block, as far as that can be had."""
        with ExitStack() as held:
            try:
                sizes = self._look(held)
            except (AnnexshellError, OSError) as error:
                self._failed(error)
                sizes = {}
            yield Deciding(sizes, self)

    def current(self) -> Mapping[UUID, int]:
        """Bytes by repository, with what is on its way there; empty if not known."""
        with self.deciding() as deciding:
            return deciding.sizes

    def add(self, key: Key, uuids: Collection[UUID]) -> None:
        """`Deciding.reserve` without having looked."""
        with ExitStack() as held:
            self._lock(held)
            self._announce(key, uuids)

    def release(self, key: Key) -> None:
        """Give up what was reserved for the key and not recorded; twice is harmless."""
        self._accounts.release(key)

    def close(self) -> None:
        """Give up all that was reserved; twice is harmless."""
        with self._announcing:
            nothing_left = self._accounts.close()
            live, self._live, self._accounts.pid = self._live, None, None
            if live is None:
                return
            if nothing_left:
                live.remove()
            else:
                # As long as there is the file, git-annex can tell that we are dead.
                live.close()

    # -- looking --------------------------------------------------------------------------

    def _look(self, held: ExitStack) -> dict[UUID, int]:
        """The sizes; ``held`` gets the lock."""
        with self._mutex:
            try:
                return self._look_once(held)
            except SizesBroken as error:
                held.close()
                if not self._replace():
                    self._failed(error)
                    self._accounts.shun()
                return self._look_once(held)

    def _look_once(self, held: ExitStack) -> dict[UUID, int]:
        due = self._bases.due
        if due:
            self._measure()
        locked = self._lock(held)
        if due or self._bases.due:
            self._bases.derive()
        return self._now(locked)

    def _measure(self) -> None:
        try:
            with suppress(OSError):  # Taking the lock will tell.
                self._sharing.make_directories(self._directory, self._top)
            self._bases.measure(self._lock_patience)
        except LockTimeout as error:
            self._rest_until = time.monotonic() + _REST
            if self._bases.base is None:
                raise
            self._failed(error)

    def _now(self, locked: bool) -> dict[UUID, int]:
        """The base, with what was recorded since then, and what is on its way."""
        base = self._bases.base
        assert base is not None
        sizes = Counter(base.sizes)
        sizes.update(self._accounts.uncounted or {})
        try:
            with self._accounts.using() as database:
                if database is None or self._accounts.generation != base.generation:
                    return dict(sizes)
                found = self._of_the_living(database) if locked else database.snapshot()
        except SizesBroken:
            raise
        except SizesUnusable as error:
            self._failed(error)
            return dict(sizes)
        for uuid, total in found.totals.items():
            since = total - base.offset.get(uuid, 0)
            if since:
                sizes[uuid] += since
        sizes.update(found.live)
        return dict(sizes)

    def _of_the_living(self, database: SizeDb) -> Snapshot:
        """What is announced, without what dead processes left, if that can be deleted."""
        own = self._accounts.pid
        found = database.snapshot()
        try:
            dead = self._watch.dead(found.pids, own)
            if dead:
                database.forget(dead)
                self._watch.bury(dead)
                found = database.snapshot()
            self._watch.sweep(found.pids, own, database.forget)
        except SizesBroken:
            raise
        except SizesUnusable as error:
            self._failed(error)
        return found

    # -- announcing -----------------------------------------------------------------------

    def _announce(self, key: Key, uuids: Collection[UUID]) -> None:
        if not (self._announces and key.size and uuids):
            return
        with self._announcing:
            try:
                if os.path.exists(self._accounts.path):
                    self._be_alive()
                    self._accounts.announce(key, uuids)
            except (AnnexshellError, OSError) as error:
                self._failed(error)

    def _be_alive(self) -> None:
        """Have a live file that others can see, before anything is announced."""
        old = self._live
        if old is not None and old.there:
            return
        self._sharing.make_directories(self._live_directory, self._top)
        new = LiveFile.create(self._live_directory, self._sharing)
        try:
            with self._accounts.using() as database:
                if old is not None and database is not None:
                    database.rename(old.pid, new.pid)
                self._live, self._accounts.pid = new, new.pid
        except BaseException:
            new.remove()
            raise
        if old is not None:
            old.close()

    # -- the database and its lock --------------------------------------------------------

    @property
    def _lock_patience(self) -> float:
        return 0.0 if time.monotonic() < self._rest_until else self._patience

    def _lock(self, held: ExitStack) -> bool:
        """Whether ``held`` has the lock now that who decides has to have."""
        path = self._directory + "/lock"
        try:
            self._sharing.make_directories(self._directory, self._top)
            lock = self._locks.wait_lock(
                path, exclusive=True, timeout=self._lock_patience
            )
            held.enter_context(lock)
            self._sharing.share(lock.fd)
            return True
        except (LockTimeout, OSError) as error:
            self._rest_until = time.monotonic() + _REST
            self._failed(error)
            return False

    def _record(self, measured: Measured) -> None:
        """Put sizes into the database, for those who look after us."""
        commit = measured.commit
        if commit is None:
            return
        try:
            with ExitStack() as held:
                if not self._lock(held):
                    return
                if not os.path.exists(self._accounts.path):
                    from annexshell.repository.sizetables import create

                    create(
                        *(self._accounts.path, self._sharing, self._top),
                        measured.sizes.keys(),
                    )
                with self._accounts.using() as database:
                    if database is not None:
                        database.record(commit, measured.sizes)
        except SizesBroken:
            raise
        except (SizesUnusable, OSError) as error:
            self._failed(error)

    def _replace(self) -> bool:
        """Move a broken database aside, unless somebody did; whether it is gone."""
        with ExitStack() as held:
            if not self._lock(held):
                return False
            try:
                with self._accounts.using() as database:
                    if database is not None:
                        database.recorded()
                        database.snapshot()
            except SizesBroken as error:
                from annexshell.repository.sizetables import set_aside

                try:
                    aside = set_aside(self._accounts.path)
                except OSError as reason:
                    self._failed(reason)
                    return False
                log.warning("%s; it was moved to %s, and is made anew", error, aside)
            except SizesUnusable as error:
                self._failed(error)
                return False
        return True

    def _failed(self, error: AnnexshellError | OSError) -> None:
        if isinstance(error, OSError):
            where = error.filename or self._directory
            error = SizesUnusable(where=where, detail=explained(error))
        self._accounts.failed(error)
