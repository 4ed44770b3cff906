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
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import md5
from typing import NamedTuple

from annexshell.errors import BranchUnreadable, MalformedKey
from annexshell.logs.location import holders, is_location_path, location_path
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
    has_one_level,
    location_pattern,
    log_name,
)
from annexshell.repository.journal import MAX_LOG, Journal
from annexshell.repository.open import Repository
from annexshell.repository.settling import open_git
from annexshell.repository.streaming import records

_MD5 = partial(md5, usedforsecurity=False)
_BRANCH = "refs/heads/git-annex"
_UUIDS = b"uuid.log"
_HEX = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_NAME = (
    rb"([A-Z0-9_]+-s(0|[1-9]\d{0,17})--[0-9a-zA-Z_]+(?:\.[\w.-]{0,60})?)\.log(?:\0|\Z)"
)
_USUAL = {
    False: re.compile(rb"(?<![^\0])([0-9a-f]{3})/([0-9a-f]{3})/" + _NAME),
    True: re.compile(rb"(?<![^\0])([0-9a-f]{3})()/" + _NAME),
}
"""Paths, put together, whose size is what it seems; `key_size` judges the rest."""
_CHANGED = rb"(?<![^\0]):(\d+) (\d+) ([0-9a-f]+) ([0-9a-f]+) [AMDT]\0(%b[^/\0]*\.log)\0"
_FILES = (b"100", b"120")
_SETS = 1 << 14
"""Sets of holders that are summed up before their members are."""


class Measured(NamedTuple):
    """Bytes by repository, as a commit of the branch says; None if there is no branch."""

    commit: ObjectId | None
    sizes: dict[UUID, int]


def key_size(path: bytes, one_level: bool) -> int:
    """The bytes of the key with this location log.

    0 if they are unknown, and where no key has its log: nobody would look for it there.
    """
    try:
        key = from_file_name(log_name(path))
    except MalformedKey:
        return 0
    return (key.size or 0) * (location_path(key, one_level=one_level) == path)


def key_sizes(paths: Sequence[bytes], one_level: bool) -> Iterable[int]:
    """`key_size` of each, at once where all are usual."""
    usual = _USUAL[one_level].findall(b"\0".join(paths))
    if len(usual) == len(paths):
        found = b"".join([first + second for first, second, _, _ in usual])
        digits = 3 if one_level else 6
        # The text of such a key is its file name: see `Key.digest`.
        due = "".join([_MD5(name).hexdigest()[:digits] for _, _, name, _ in usual])
        if found == due.encode():
            return [int(size) for _, _, _, size in usual]
    return [key_size(path, one_level) for path in paths]


def measure(repository: Repository) -> Measured:
    """The sizes by the branch alone; all of it is read. Raises BranchUnreadable."""
    git = open_git(repository)
    tip = git.tip(_BRANCH)
    if tip is None:
        return Measured(None, {})
    sums, one_level = _Sums(), has_one_level(repository)
    for paths, holders_of in committed(repository, tip):
        sums.add_all(holders_of, key_sizes(paths, one_level))
    return Measured(tip, _complete(git, tip, sums.by_repository()))


def advance(repository: Repository, old: Measured, tip: ObjectId) -> Measured | None:
    """What `measure` says of the commit ``tip``, from the sizes of another commit.

    Only what the two differ in is read. None where that cannot be done, as the old commit
    is gone or its sizes cannot have been right: then all has to be measured.
    """
    if old.commit is None or not _HEX.fullmatch(old.commit):
        return None
    if old.commit == tip:
        return old
    sums, one_level = _Sums(), has_one_level(repository)
    try:
        for paths, lost, gained in _changes(repository, old.commit, tip):
            each = list(key_sizes(paths, one_level))
            sums.add_all(lost, (-size for size in each))
            sums.add_all(gained, each)
        changed = sums.by_repository()
        known = {*old.sizes, *changed}
        sizes = {u: old.sizes.get(u, 0) + changed.get(u, 0) for u in known}
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
    one_level = has_one_level(repository)
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
                    changed, key_size(path, one_level), holders(before), holders(after)
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
    return b"" if commit is None else git.text_at(commit, path, MAX_LOG)


def _complete(git: Git, commit: ObjectId, sizes: dict[UUID, int]) -> dict[UUID, int]:
    """The sizes of exactly the repositories that should have one."""
    known = dict.fromkeys(descriptions(_at(git, commit, _UUIDS)), 0)
    return known | {uuid: size for uuid, size in sizes.items() if size}


def _changes(
    repository: Repository, old: ObjectId, new: ObjectId
) -> Iterator[tuple[list[bytes], list[frozenset[UUID]], list[frozenset[UUID]]]]:
    """The paths of location logs that differ, and who were and who are holders of each."""
    git_dir, shapes = repository.git_dir, Shapes()
    pattern = location_pattern(_CHANGED, has_one_level(repository))
    changed = _changed(git_dir, old, new, pattern)
    for logs, contents in contents_of(git_dir, changed):
        held = iter(shapes.holders(contents))
        each = [(_next(held, log.was), _next(held, log.is_now)) for log in logs]
        paths = [log.path for log in logs]
        yield paths, [lost for lost, _ in each], [gained for _, gained in each]


def _next(held: Iterator[frozenset[UUID]], exists: bool) -> frozenset[UUID]:
    return next(held) if exists else frozenset()


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

    def add_all(
        self, holders_of: Iterable[frozenset[UUID]], sizes: Iterable[int]
    ) -> None:
        """Each of the holders of each key has that many bytes more."""
        sets = self._sets
        for held, size in zip(holders_of, sizes, strict=True):
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
