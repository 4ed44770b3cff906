"""Settling: the journal and the sibling branches become a commit (spec 03 §12.3).

git-annex commits through an index of its own, and remembers in `index.lck` which commit
that index includes. We build trees directly and touch neither file: with both left stale
git-annex merges our commit into its index when it next commits, whereas an `index.lck`
that names our commit would make it revert what we wrote (§11.3).

Two things git-annex gets wrong are not copied. A journal file is merged with what the
branch says now, not put over it (§11.1), and the branch is moved only from the commit that
was merged, never from whatever a push made of it meanwhile (§11.2).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from annexshell.errors import (
    BranchNotCommitted,
    BranchUnreadable,
    JournalFailed,
    printable,
)
from annexshell.repository.git import Git, ObjectId, algorithm_of, in_process
from annexshell.repository.identity import commit_message, committer, tell_updated
from annexshell.repository.journal import Journal, Pending
from annexshell.repository.merging import (
    BRANCH,
    ORIGIN,
    Overlay,
    Sibling,
    Siblings,
    fast_forward,
)
from annexshell.repository.modes import Sharing
from annexshell.repository.open import Repository

log = logging.getLogger(__name__)

_ROUND = 2000
"""Journal files a commit; the lock is given up in between."""
_TRIES = 20
_PAUSE = 0.05
_LONGEST_PAUSE = 0.4
"""Seconds between tries: in all about five, which outlasts any honest ref lock."""


def open_git(repository: Repository) -> Git:
    """The repository's objects and refs, as its config wants them written."""
    return Git(
        repository.git_dir,
        fsync=repository.config.boolean("annexshell.fsync", True),
        sharing=Sharing.parse(repository.config.get("core.sharedrepository")),
        algorithm=algorithm_of(repository.config),
        in_process=in_process(repository.config),
    )


class Settling:
    """One run over one repository; its own git handle makes it fit for a thread."""

    def __init__(self, repository: Repository, journal: Journal) -> None:
        self._repository = repository
        self._config = repository.config
        self._journal = journal
        self._git = open_git(repository)
        self._siblings = Siblings(repository, self._git)
        self._one_level = self._config.boolean("annex.tune.branchhash1", False)

    def run(self, timeout: float | None) -> None:
        """Commit until nothing is left; see `Branch.settle`."""
        while self._round(timeout):
            log.debug("%s: more journal files to commit", self._repository.path)

    def create(self) -> ObjectId:
        """The tip of the branch, which is made if it is missing (spec 03 §2)."""
        tip = self._git.tip(BRANCH)
        if tip is not None:
            return tip
        made = self._git.tip(ORIGIN) or self._commit_tree(None, [], "branch created")
        reason = self._git.swap(BRANCH, None, made)
        # Another process may have made it just now; then that one is the branch.
        tip = self._git.tip(BRANCH)
        if tip is None:
            raise BranchNotCommitted(where=self._repository.path, detail=reason)
        return tip

    def _round(self, timeout: float | None) -> bool:
        if not self._journal.names(1) and not self._to_merge():
            return False
        with self._journal.locked(timeout):
            names = self._journal.names(_ROUND)
            pending = self._read(names)
            if not self._must_commit(pending):
                return False
            moved, absorbed = self._commit(pending)
            self._journal.remove(absorbed)
        if moved:
            tell_updated(self._repository)
        return len(names) == _ROUND and bool(absorbed)

    def _must_commit(self, pending: list[Pending]) -> bool:
        """Whether the journal may not wait any longer, as annex.alwayscommit=false asks.

        A journal file that lacks what the branch says by now would be put over that by
        git-annex, so then it does not wait (spec 03 §8.2, §11.1).
        """
        if self._config.boolean("annex.alwayscommit", True) or self._to_merge():
            return True
        overlay = Overlay(self._git, self.create(), self._one_level)
        return any(overlay.says_more(file.path, file.content) for file in pending)

    def _to_merge(self) -> list[Sibling]:
        return self._siblings.missing_from(self.create())

    def _read(self, names: list[bytes]) -> list[Pending]:
        found = []
        for name in names:
            try:
                found += self._journal.pending([name])
            except JournalFailed as error:
                log.warning("left in the journal: %s", error)
        return found

    def _commit(self, pending: list[Pending]) -> tuple[bool, list[bytes]]:
        """Whether the branch moved, and the journal files that are on it now."""
        pause, reason = _PAUSE, None
        for _ in range(_TRIES):
            tip = self.create()
            made, absorbed = self._prepare(tip, pending)
            if made == tip:
                return False, absorbed
            reason = self._git.swap(BRANCH, tip, made)
            if reason is None:
                return True, absorbed
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        raise BranchNotCommitted(where=self._repository.path, detail=reason)

    def _prepare(
        self, tip: ObjectId, pending: list[Pending]
    ) -> tuple[ObjectId, list[bytes]]:
        """A commit of everything, and the names of the files it takes in.

        Nothing but objects is written. The commit is ``tip`` if there is nothing to say.
        """
        overlay = Overlay(self._git, tip, self._one_level)
        taken = [file for file in pending if self._absorb(overlay, file)]
        local = bool(overlay.blobs)
        found = self._siblings.missing_from(tip)
        merged = [sibling for sibling in found if self._merge(overlay, sibling)]
        built = self._git.build(tip, overlay.blobs)
        for path in sorted(built.refused):
            log.warning("not a path the branch can have: %s", printable(path))
        absorbed = [file.name for file in taken if file.path not in built.refused]
        if not merged and built.id == self._git.tree_of(tip):
            return tip, absorbed
        ahead = None if local else fast_forward(self._git, tip, merged, built.id)
        return ahead or self._commit_on(tip, built.id, merged), absorbed

    def _absorb(self, overlay: Overlay, file: Pending) -> bool:
        try:
            overlay.put(file.path, file.content)
        except BranchUnreadable as error:
            log.warning("left in the journal: %s: %s", printable(file.path), error)
            return False
        return True

    def _merge(self, overlay: Overlay, sibling: Sibling) -> bool:
        try:
            overlay.merge(sibling)
        except BranchUnreadable as error:
            return self._siblings.leave(sibling, str(error))
        return True

    def _commit_on(
        self, tip: ObjectId, tree: ObjectId, merged: list[Sibling]
    ) -> ObjectId:
        parents = [tip, *(sibling.commit for sibling in merged)]
        if not merged:
            return self._commit_tree(tree, parents, "update")
        names = " ".join(sibling.short for sibling in merged)
        return self._commit_tree(tree, parents, f"merging {names} into git-annex")

    def _commit_tree(
        self, tree: ObjectId | None, parents: Sequence[ObjectId], message: str
    ) -> ObjectId:
        # What was configured replaces the plain messages only, as in git-annex.
        plain = len(parents) < 2
        text = (
            commit_message(self._repository, message)
            if plain
            else message.encode("utf-8", "surrogateescape") + b"\n"
        )
        made = self._git.build(None, {}).id if tree is None else tree
        return self._git.commit(made, parents, text, committer(self._repository))
