"""Which other git-annex branches are merged into ours, and with what result (spec 03 §9).

Who may push may push anything. A ref that cannot be merged safely is left out and named to
the operator; it never keeps the rest of the repository from working (spec 03 §11.4).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from annexshell.errors import BranchUnreadable, printable
from annexshell.logs.lines import lines_of
from annexshell.logs.location import is_location_path
from annexshell.logs.mapped import Form, parse_map
from annexshell.logs.merge import join
from annexshell.model.clock import parse_clock
from annexshell.repository.config import GitConfig
from annexshell.repository.git import Git, ObjectId
from annexshell.repository.journal import MAX_LOG
from annexshell.repository.open import Repository

log = logging.getLogger(__name__)

BRANCH = "refs/heads/git-annex"
ORIGIN = "refs/remotes/origin/git-annex"
_SYNCED = "refs/heads/synced/git-annex"
_MAX_CHANGES = 2_000_000
"""More differing files than this are no sync but an attack, or a merge to do by hand."""

TUNES = {
    "annex.tune.objecthash1": b"OneLevelObjectHash",
    "annex.tune.objecthashlower": b"ObjectHashLower",
    "annex.tune.branchhash1": b"OneLevelBranchHash",
}
"""Settings that are fixed when a repository is made, as difference.log names them."""
_DIFFERENCES = frozenset((*TUNES.values(), b"Simulation"))
_LISTED = re.compile(rb"fromList \[([A-Za-z0-9,]*)\]\Z")
_TRANSITIONS = frozenset((b"ForgetGitHistory", b"ForgetDeadRemotes"))


class Sibling(NamedTuple):
    """A ref that holds what ours does not."""

    ref: str
    commit: ObjectId

    @property
    def short(self) -> str:
        """The name that commit messages use."""
        return self.ref.removeprefix("refs/heads/").removeprefix("refs/remotes/")


class Overlay:
    """The files of a commit, with some of them replaced by newer blobs."""

    def __init__(self, git: Git, commit: ObjectId, one_level: bool) -> None:
        self._git = git
        self._commit = commit
        self._one_level = one_level
        self.blobs: dict[bytes, ObjectId] = {}

    def put(self, path: bytes, content: bytes) -> None:
        """Merge lines into a file."""
        blob = self._at(path)
        old = b"" if blob is None else self._git.content(blob, MAX_LOG)
        new = join(old, content, location=self._is_location(path))
        if new != old:
            self.blobs[path] = self._git.store(new)

    def says_more(self, path: bytes, content: bytes) -> bool:
        """Whether the file has lines that ``content`` lacks; also if it cannot be read."""
        blob = self._at(path)
        if blob is None:
            return False
        try:
            old = self._git.content(blob, MAX_LOG)
        except BranchUnreadable:
            return True
        location = self._is_location(path)
        return join(content, old, location=location) != content

    def merge(self, sibling: Sibling) -> None:
        """Merge everything the sibling has, or nothing. Raises BranchUnreadable."""
        before = dict(self.blobs)
        base = self._git.common(self._commit, sibling.commit)
        try:
            for count, change in enumerate(self._git.changes(base, sibling.commit)):
                if count > _MAX_CHANGES:
                    raise BranchUnreadable(where=sibling.ref, detail="too many changes")
                if change is not None:
                    self._merge_blob(change.path, ObjectId(change.id.hex()))
        except BranchUnreadable:
            self.blobs = before
            raise

    def _merge_blob(self, path: bytes, theirs: ObjectId) -> None:
        ours = self._at(path)
        if ours is None:
            self.blobs[path] = theirs
        elif ours != theirs:
            self.put(path, self._git.content(theirs, MAX_LOG))

    def _at(self, path: bytes) -> ObjectId | None:
        return self.blobs.get(path) or self._git.blob_at(self._commit, path)

    def _is_location(self, path: bytes) -> bool:
        return is_location_path(path, one_level=self._one_level)


class Siblings:
    """The refs that may be merged; what was found out about a commit is remembered."""

    def __init__(self, repository: Repository, git: Git) -> None:
        self._repository = repository
        self._config = repository.config
        self._git = git
        self._verdicts: dict[tuple[ObjectId, ObjectId], bool] = {}
        self._told: set[tuple[str, str]] = set()

    def missing_from(self, tip: ObjectId) -> list[Sibling]:
        """The refs with commits that ``tip`` lacks, unless they are unsafe to merge.

        Raises BranchUnreadable if our own branch cannot be read.
        """
        if not self._config.boolean("annex.merge-annex-branches", True):
            return []
        ignored = _ignored(self._repository)
        found: dict[ObjectId, Sibling] = {}
        for ref in sorted(filter(_may_merge, self._git.ref_names())):
            commit = self._git.peel(ref)
            if commit is not None and commit not in ignored:
                found.setdefault(commit, Sibling(ref, commit))
        return [sibling for sibling in found.values() if self._wanted(tip, sibling)]

    def leave(self, sibling: Sibling, reason: str) -> bool:
        """Tell the operator, once, that a ref is not merged."""
        if (sibling.ref, reason) not in self._told:
            self._told.add((sibling.ref, reason))
            log.warning("%s is not merged: %s", printable(sibling.ref), reason)
        return False

    def _wanted(self, tip: ObjectId, sibling: Sibling) -> bool:
        asked = (tip, sibling.commit)
        if asked not in self._verdicts:
            self._verdicts[asked] = self._judge(tip, sibling)
        return self._verdicts[asked]

    def _judge(self, tip: ObjectId, sibling: Sibling) -> bool:
        try:
            if self._git.contains(tip, sibling.commit):
                return False
            theirs = self._file(sibling.commit, b"transitions.log")
            differs = self._file(sibling.commit, b"difference.log")
        except BranchUnreadable as error:
            return self.leave(sibling, str(error))
        if differences_in(differs) != differences_set(self._config):
            return self.leave(sibling, "its repository is tuned in an incompatible way")
        ours = transitions(self._file(tip, b"transitions.log"))
        if transitions(theirs) != ours:
            reason = "one side was told to forget history; run git annex merge"
            return self.leave(sibling, reason)
        if any(name not in _TRANSITIONS for name, _ in ours):
            return self.leave(sibling, "it went through an unknown transition")
        return True

    def _file(self, commit: ObjectId, path: bytes) -> bytes:
        return self._git.text_at(commit, path, MAX_LOG)


def _may_merge(ref: str) -> bool:
    # git-annex merges every ref that ends so; we leave tags and other heads alone.
    remote = ref.startswith("refs/remotes/") and ref.endswith("/git-annex")
    return remote or ref == _SYNCED


def _ignored(repository: Repository) -> frozenset[str]:
    path = os.path.join(repository.annex_dir, "ignoredrefs")
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            return frozenset(line.strip() for line in lines)
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise BranchUnreadable(where=path, detail=error.strerror) from error


def differences_set(config: GitConfig) -> frozenset[bytes]:
    """The ways in which this repository is tuned, as difference.log names them."""
    return frozenset(
        word for name, word in TUNES.items() if config.boolean(name, False)
    )


def differences_in(content: bytes) -> frozenset[bytes] | None:
    """The union of what a difference.log lists (spec 03 §9.4).

    None if any of it is not understood; that equals no set.
    """
    found: set[bytes] = set()
    for entry in parse_map(content, Form.OLD).values():
        listed = _LISTED.match(entry.value)
        if listed is None:
            return None
        found.update(word for word in listed[1].split(b",") if word)
    return frozenset(found) if found <= _DIFFERENCES else None


def transitions(content: bytes) -> frozenset[tuple[bytes, int | None]]:
    """The transitions that a transitions.log lists, with their clocks (spec 03 §9.5)."""
    return frozenset(_transition(line) for line in lines_of(content))


def _transition(line: bytes) -> tuple[bytes, int | None]:
    name, _, clock = line.partition(b" ")
    return name, parse_clock(clock)


def fast_forward(
    git: Git, tip: ObjectId, found: list[Sibling], tree: ObjectId
) -> ObjectId | None:
    """The sibling that already is the merge of all, with just the tree wanted."""
    for candidate in _descending(git, tip, found):
        if git.tree_of(candidate.commit) == tree:
            return candidate.commit
    return None


def _descending(git: Git, tip: ObjectId, found: list[Sibling]) -> Iterator[Sibling]:
    for candidate in found:
        others = (tip, *(other.commit for other in found))
        if all(git.contains(candidate.commit, other) for other in others):
            yield candidate
