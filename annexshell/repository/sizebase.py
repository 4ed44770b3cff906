"""The sizes that the git-annex branch and the journal tell, brought up to date (spec 04 §8).

What a process starts from is the sizes of one commit, what waits in the journal, and the
totals of the database at that moment, the last two under one lock of the journal. What
changes later is seen in the totals (`sizes`). Only what comes with merges and pushes is
not, nor what could not be counted; so when the branch has moved all this is done again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from annexshell.errors import JournalFailed, LockTimeout
from annexshell.model.ids import UUID
from annexshell.repository.accounts import Accounts
from annexshell.repository.branch import Branch
from annexshell.repository.errors import SizesBroken, SizesUnusable
from annexshell.repository.filelock import wait_lock
from annexshell.repository.git import Git, ObjectId
from annexshell.repository.open import Repository
from annexshell.repository.settling import open_git
from annexshell.repository.sizing import Measured, advance, measure, waiting

if TYPE_CHECKING:
    from annexshell.repository.sizedb import SizeDb

log = logging.getLogger(__name__)

_BRANCH = "refs/heads/git-annex"
_AGAIN = 60.0
"""Seconds at least between two looks at a branch that keeps moving."""
_SHARE = 20
"""Without the database, one part in so many of the time goes into reading the journal."""
_LOCK = "/annexshell.lck"
_Answer = TypeVar("_Answer")


class Base(NamedTuple):
    """What the branch at ``commit`` and the journal tell, when totals were ``offset``."""

    commit: ObjectId | None
    sizes: dict[UUID, int]
    offset: dict[UUID, int]
    generation: int
    """Of the database; a new one's totals begin anew. 0 for none."""


class Bases:
    """Knows the latest base. Not for several threads at once."""

    def __init__(
        self,
        repository: Repository,
        branch: Branch,
        accounts: Accounts,
        directory: str,
        record: Callable[[Measured], None],
    ) -> None:
        """``record`` puts sizes into the database, which it makes if it is missing."""
        self._repository = repository
        self._branch = branch
        self._accounts = accounts
        self._directory = directory
        self._record = record
        self._measured: Measured | None = None
        self._derived = 0.0
        self._cost = 0.0
        self.base: Base | None = None

    @cached_property
    def _git(self) -> Git:
        return open_git(self._repository)

    @property
    def due(self) -> bool:
        """Whether the base there is, if any, is to be replaced."""
        base = self.base
        if base is None:
            return True
        self._ask(lambda database: database)
        generation = self._accounts.generation
        if generation and base.generation != generation:
            return True
        if not generation or self._accounts.missed:
            # The journal tells what the database does not. Reading it may take long.
            return time.monotonic() >= self._derived + self._cost * _SHARE
        if time.monotonic() < self._derived + _AGAIN:
            return False
        return self._git.tip(_BRANCH) != base.commit

    def measure(self, patience: float) -> None:
        """Know the sizes at the branch's tip; to be called without ``reposize/lock``.

        That takes long for a large branch whose sizes nobody has recorded. So one process
        does it, however long it takes: who gave up would leave it to the next to begin
        again. Others wait ``patience`` seconds. Raises LockTimeout, BranchUnreadable,
        OSError and JournalFailed.
        """
        tip = self._git.tip(_BRANCH)
        for known in (self._measured, self._recorded()):
            if known is not None and known.commit == tip:
                self._measured = known
                return
        if tip is None:
            self._measured = measure(self._repository)
            return
        with self._alone(patience):
            found = self._recorded()
            if found is None or found.commit != tip:
                self._measured = found = self._brought_to(tip, found)
                self._record(found)
            self._measured = found

    def _brought_to(self, tip: ObjectId, recorded: Measured | None) -> Measured:
        for old in (recorded, self._measured):
            if old is not None:
                newer = advance(self._repository, old, tip)
                if newer is not None:
                    return newer
                log.warning(
                    "%s: the sizes of repositories were recorded for commit %s, which is"
                    " gone; they are calculated anew",
                    self._repository.path,
                    old.commit,
                )
        log.info("%s: calculating repository sizes", self._repository.path)
        return measure(self._repository)

    def derive(self) -> None:
        """Make the base of what was measured and what the journal has by now.

        Raises SizesUnusable, BranchUnreadable and JournalFailed.
        """
        measured = self._measured
        assert measured is not None
        with self._journal_locked(), self._catching_up():
            began = time.monotonic()
            tip = self._git.tip(_BRANCH)
            if tip is not None and tip != measured.commit:
                # It moved in between. Whoever commits the journal has its lock, so it
                # cannot be that what was in the journal is missing in both.
                measured = advance(self._repository, measured, tip) or measured
            sizes = dict(measured.sizes)
            found = waiting(self._repository, self._branch, measured.commit)
            for uuid, change in found.items():
                sizes[uuid] = sizes.get(uuid, 0) + change
            self._cost = time.monotonic() - began
            told = self._ask(lambda database: database.snapshot())
            generation = 0 if told is None else self._accounts.generation
        self._measured = measured
        self._derived = time.monotonic()
        offset = {} if told is None else told.totals
        self.base = Base(measured.commit, sizes, offset, generation)

    @contextmanager
    def _journal_locked(self) -> Iterator[None]:
        """The journal's lock, if we can have it: who may only read looks without it.

        So does who would wait too long, since others wait for us; and looks again later,
        since what is written meanwhile can be missed, or seen twice.
        """
        with ExitStack() as held:
            late = False
            try:
                held.enter_context(self._branch.journal_locked())
            except JournalFailed as error:
                log.debug("%s", error)
            except LockTimeout as error:
                log.warning("%s; sizes of repositories may be wrong", error)
                late = True
            yield
            self._accounts.missed |= late

    @contextmanager
    def _catching_up(self) -> Iterator[None]:
        """Whatever was missed is known after the block, unless that fails."""
        accounts = self._accounts
        missed, accounts.missed = accounts.missed, False
        uncounted, accounts.uncounted = accounts.uncounted, Counter()
        try:
            yield
        except BaseException:
            accounts.missed |= missed
            accounts.uncounted.update(uncounted or {})
            raise

    @contextmanager
    def _alone(self, patience: float) -> Iterator[None]:
        """No other process measures meanwhile, as far as that can be told.

        Never by the pid lock: nobody could do anything else meanwhile.
        """
        with ExitStack() as held:
            path = self._directory + _LOCK
            try:
                held.enter_context(wait_lock(path, exclusive=True, timeout=patience))
            except OSError as error:
                log.debug("%s: %s", path, error)
            yield

    def _recorded(self) -> Measured | None:
        found = self._ask(lambda database: database.recorded())
        return None if found is None else Measured(found.commit, found.sizes)

    def _ask(self, question: Callable[[SizeDb], _Answer]) -> _Answer | None:
        """None without a database that can be asked. Raises SizesBroken."""
        try:
            with self._accounts.using() as database:
                return None if database is None else question(database)
        except SizesBroken:
            raise
        except SizesUnusable as error:
            self._accounts.failed(error)
            return None
