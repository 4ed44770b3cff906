"""How much each repository holds, by the location logs (spec 04 §8, §11.3).

``waiting`` is told the commit its differences are relative to, and takes the repository's
`Branch`; the caller holds the journal's lock (`Journal.locked`). What is in the journal
alone never counts twice: sizes are those of a commit, and `waiting` is what to add.

A size is the sum of the sizes of all keys whose log says that the repository has them; a
key of unknown size adds nothing. Every repository of uuid.log has a size, be it 0; one
that is not listed there has one only while it is not 0. Clusters have no content.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from annexshell.errors import BranchUnreadable, MalformedKey
from annexshell.logs.location import holders, is_location_path
from annexshell.logs.mapped import descriptions
from annexshell.model.ids import UUID, is_cluster_uuid
from annexshell.model.key import from_file_name
from annexshell.repository.branch import Branch
from annexshell.repository.git import Git, ObjectId
from annexshell.repository.holdings import (
    AT_ONCE,
    Shapes,
    committed,
    contents_of,
    location_pattern,
    log_name,
)
from annexshell.repository.journal import MAX_LOG, Journal
from annexshell.repository.open import Repository
from annexshell.repository.settling import open_git
from annexshell.repository.streaming import records

_BRANCH = "refs/heads/git-annex"
_UUIDS = b"uuid.log"
_HEX = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_USUAL = re.compile(rb"[A-Z0-9_]+-s(0|[1-9]\d{0,17})--[0-9a-zA-Z_]+(?:\.[\w.-]{0,60})?")
"""Names whose size is what it seems; `from_file_name` judges the rest."""
_CHANGED = rb"(?<![^\0]):(\d+) (\d+) ([0-9a-f]+) ([0-9a-f]+) [AMDT]\0(%b[^/\0]*\.log)\0"
_FILES = (b"100", b"120")
_SETS = 1 << 14
"""Sets of holders that are summed up before their members are."""


class Measured(NamedTuple):
    """Bytes by repository, as a commit of the branch says; None if there is no branch."""

    commit: ObjectId | None
    sizes: dict[UUID, int]


def key_size(name: bytes) -> int:
    """The bytes of the key whose file name this is; 0 if unknown, or if it is no key."""
    usual = _USUAL.fullmatch(name)
    if usual is not None:
        return int(usual[1])
    try:
        return from_file_name(name).size or 0
    except MalformedKey:
        return 0


def measure(repository: Repository) -> Measured:
    """The sizes by the branch alone; all of it is read. Raises BranchUnreadable."""
    git = open_git(repository)
    tip = git.tip(_BRANCH)
    if tip is None:
        return Measured(None, {})
    sums = _Sums()
    for name, held in committed(repository, tip):
        if held:
            sums.add(held, key_size(name))
    return Measured(tip, _complete(git, tip, sums.by_repository()))


def advance(repository: Repository, old: Measured, tip: ObjectId) -> Measured | None:
    """What `measure` says of the commit ``tip``, from the sizes of another commit.

    Only what the two differ in is read. None where that cannot be done, as the old commit
    is gone or its sizes cannot have been right: then all has to be measured.
    """
    if old.commit is None or not _HEX.fullmatch(old.commit):
        return None
    sums = _Sums()
    try:
        for name, lost, gained in _changes(repository, old.commit, tip):
            if lost != gained:
                size = key_size(name)
                sums.add(lost, -size)
                sums.add(gained, size)
        changed = sums.by_repository()
        sizes = {
            u: old.sizes.get(u, 0) + changed.get(u, 0) for u in {*old.sizes, *changed}
        }
        complete = _complete(open_git(repository), tip, sizes)
    except BranchUnreadable:
        return None
    return None if min(complete.values(), default=0) < 0 else Measured(tip, complete)


def waiting(
    repository: Repository, branch: Branch, commit: ObjectId | None
) -> dict[UUID, int]:
    """What the journal adds to or takes from the sizes of ``commit``.

    Repositories that uuid.log has in the journal only are there with 0, and so may others
    be. Private repositories are in the private journal alone (spec 03 §7.2). To be called
    with the journal's lock held. Raises BranchUnreadable and JournalFailed.
    """
    git, journal = open_git(repository), Journal(repository)
    one_level = repository.config.boolean("annex.tune.branchhash1", False)
    places = [journal.paths()]
    if branch.private_uuids:
        places.append(journal.paths(private=True))
    changed: Counter[UUID] = Counter()
    for path in frozenset().union(*places):
        if path == _UUIDS:
            changed.update(dict.fromkeys(descriptions(branch.read(path)), 0))
        elif is_location_path(path, one_level=one_level):
            before, after = _at(git, commit, path), branch.read(path)
            if before != after:
                _move(
                    changed, key_size(log_name(path)), holders(before), holders(after)
                )
    return dict(changed)


def _move(
    changed: Counter[UUID], size: int, lost: frozenset[UUID], gained: frozenset[UUID]
) -> None:
    for uuid in lost - gained:
        changed[uuid] -= size
    for uuid in gained - lost:
        changed[uuid] += size


def _at(git: Git, commit: ObjectId | None, path: bytes) -> bytes:
    blob = None if commit is None else git.blob_at(commit, path)
    return b"" if blob is None else git.content(blob, MAX_LOG)


def _complete(git: Git, commit: ObjectId, sizes: dict[UUID, int]) -> dict[UUID, int]:
    """The sizes of exactly the repositories that should have one."""
    known = dict.fromkeys(descriptions(_at(git, commit, _UUIDS)), 0)
    return known | {uuid: size for uuid, size in sizes.items() if size}


def _changes(
    repository: Repository, old: ObjectId, new: ObjectId
) -> Iterator[tuple[bytes, frozenset[UUID], frozenset[UUID]]]:
    """The name of each location log that differs, and who were and are its holders."""
    git_dir, shapes = repository.git_dir, Shapes()
    one_level = repository.config.boolean("annex.tune.branchhash1", False)
    nobody: frozenset[UUID] = frozenset()
    changed = _changed(git_dir, old, new, location_pattern(_CHANGED, one_level))
    for logs, contents in contents_of(git_dir, changed):
        held = iter(shapes.holders(contents))
        for log in logs:
            lost = next(held) if log.was else nobody
            yield log_name(log.path), lost, next(held) if log.is_now else nobody


class _Changed(NamedTuple):
    """A location log that differs, and in which of two commits it is a file."""

    path: bytes
    was: bool
    is_now: bool


def _changed(
    git_dir: str, old: ObjectId, new: ObjectId, pattern: re.Pattern[bytes]
) -> Iterator[tuple[list[_Changed], list[bytes]]]:
    """Batches of what differs, with the ids of the blobs before and after in turn."""
    words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index")
    for piece in records(git_dir, *words, old, new, fields=2):
        found = pattern.findall(piece)
        for start in range(0, len(found), AT_ONCE):
            logs, ids = [], []
            for mode, now, before, after, path in found[start : start + AT_ONCE]:
                log = _Changed(path, mode[:3] in _FILES, now[:3] in _FILES)
                logs.append(log)
                ids += [before] * log.was + [after] * log.is_now
            yield logs, ids


class _Sums:
    """Bytes by set of holders: adding to each member every time would take longer."""

    def __init__(self) -> None:
        self._sets: dict[frozenset[UUID], int] = {}
        self._each: Counter[UUID] = Counter()

    def add(self, held: frozenset[UUID], size: int) -> None:
        """Each of ``held`` has ``size`` bytes more."""
        sets = self._sets
        sets[held] = sets.get(held, 0) + size
        if len(sets) > _SETS:
            self.by_repository()

    def by_repository(self) -> dict[UUID, int]:
        """All that was added, by repository; clusters have nothing."""
        for held, size in self._sets.items():
            for uuid in held:
                self._each[uuid] += size
        self._sets.clear()
        return {u: n for u, n in self._each.items() if not is_cluster_uuid(u)}
