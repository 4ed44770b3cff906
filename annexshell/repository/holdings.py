"""Who is recorded to hold what: every location log of a repository, in one pass.

Reading each log by itself would resolve the branch and look into the journal for each
(see `Branch.read`). Here both are listed once, two processes of git's hand out what the
branch has, and only what waits in the journal is read that other way.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from annexshell.errors import MalformedKey, printable
from annexshell.logs.location import holders, is_location_path
from annexshell.model.ids import UUID
from annexshell.model.key import from_file_name
from annexshell.repository.branch import Branch
from annexshell.repository.git import ObjectId
from annexshell.repository.journal import MAX_LOG, Journal
from annexshell.repository.open import Repository
from annexshell.repository.settling import open_git
from annexshell.repository.streaming import blobs, records

T = TypeVar("T")
_BRANCH = "refs/heads/git-annex"
_LISTED = rb"(?<![^\0])(?:100|120)\d{3} blob ([0-9a-f]+)\t(%b[^/\0]*\.log)\0"
_LINE = rb"\d{1,20}(?:\.\d{1,20})?s [01] [\w-]+\n"
_CLOCK = b"0123456789."
_PLAIN = re.compile(rb"(?:%b|\0)*+" % _LINE)
"""What nearly all location logs are, put together with NULs; the parser has the rest."""
AT_ONCE = 500
_SHAPES = 1 << 14
"""Sets of holders that are kept: most logs of a repository have one of a few."""


class Holding(NamedTuple):
    """The name of a location log without ``.log``, and who has that key's content.

    Clusters are not among ``holders`` unless a log says they are: git-annex writes none.
    """

    name: bytes
    holders: frozenset[UUID]

    @property
    def spelled(self) -> str:
        """The key as git-annex spells it, fit to be printed."""
        try:
            return printable(from_file_name(self.name).text)
        except MalformedKey:
            return printable(self.name)


def holdings(repository: Repository, branch: Branch) -> Iterator[Holding]:
    """Every key that has a location log; the order is the branch's, then the journal's.

    What others record while this runs may be left out. Raises BranchUnreadable and
    JournalFailed.
    """
    one_level = has_one_level(repository)
    # The journal first: a commit moves the branch before it deletes the file.
    journal = Journal(repository)
    waiting = journal.paths() | journal.paths(private=True)
    tip = open_git(repository).tip(_BRANCH)
    if tip is not None:
        for paths, held in committed(repository, tip, waiting):
            yield from map(Holding, map(log_name, paths), held)
    for path in sorted(waiting):
        if is_location_path(path, one_level=one_level):
            yield Holding(log_name(path), holders(branch.read(path)))


def committed(
    repository: Repository, commit: ObjectId, unless: Container[bytes] = ()
) -> Iterator[tuple[list[bytes], list[frozenset[UUID]]]]:
    """All location logs of a commit, by the hundred: their paths, and who are holders.

    Those whose path is in ``unless`` are left out. Raises BranchUnreadable.
    """
    git_dir, shapes = repository.git_dir, Shapes()
    one_level = has_one_level(repository)
    listed = _listed(git_dir, commit, one_level, unless)
    for paths, contents in contents_of(git_dir, listed):
        yield paths, shapes.holders(contents)


def has_one_level(repository: Repository) -> bool:
    """Whether location logs are in one level of directories, not in two."""
    return repository.config.boolean("annex.tune.branchhash1", False)


def log_name(path: bytes) -> bytes:
    """The file name of the key whose location log is at ``path``."""
    return path[path.rfind(b"/") + 1 : -4]


# -- what the branch has -------------------------------------------------------------------

_Batch = tuple[list[bytes], list[bytes]]
"""The paths of some hundred files, and the hex ids of what is there."""


def location_pattern(listed: bytes, one_level: bool) -> re.Pattern[bytes]:
    """``listed`` with the directories of location logs put in, see `is_location_path`."""
    return re.compile(listed % (rb"[^/\0]*/" * (1 if one_level else 2)))


def _listed(
    git_dir: str, commit: str, one_level: bool, unless: Container[bytes]
) -> Iterator[_Batch]:
    """All location logs of the commit's tree; gitlinks are none."""
    files = location_pattern(_LISTED, one_level)
    for piece in records(git_dir, "ls-tree", "-r", "-z", "--full-tree", commit):
        found = files.findall(piece)
        if unless:
            found = [entry for entry in found if entry[1] not in unless]
        for start in range(0, len(found), AT_ONCE):
            some = found[start : start + AT_ONCE]
            yield [path for _, path in some], [blob for blob, _ in some]


def contents_of(
    git_dir: str, asked: Iterable[tuple[T, list[bytes]]]
) -> Iterator[tuple[T, list[bytes]]]:
    """The contents of blobs, in batches; what comes with the hex ids is handed through.

    Raises BranchUnreadable.
    """
    labels: deque[T] = deque()

    def ids() -> Iterator[list[bytes]]:
        for label, names in asked:
            labels.append(label)
            yield names

    for contents in blobs(git_dir, ids(), MAX_LOG):
        yield labels.popleft(), contents


# -- what a log says -------------------------------------------------------------------------


class Shapes:
    """Who the logs say are holders, for many logs at once.

    A log without its clocks is its shape. Where each repository has one line the clocks
    decide nothing, and what a shape says has to be found out only once.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, frozenset[UUID] | None] = {}

    def holders(self, contents: Sequence[bytes]) -> list[frozenset[UUID]]:
        """What `logs.location.holders` says about each."""
        together = b"\0".join(contents)
        nuls = len(contents) - 1
        if not _PLAIN.fullmatch(together) or together.count(b"\0") != nuls:
            return [self._alone(content) for content in contents]
        shapes = _shape(together).split(b"\0")
        known = self._known
        return [
            known.get(shape) or self._found(shape, content)
            for shape, content in zip(shapes, contents, strict=True)
        ]

    def _alone(self, content: bytes) -> frozenset[UUID]:
        if b"\0" in content or not _PLAIN.fullmatch(content):
            return holders(content)
        return self._found(_shape(content), content)

    def _found(self, shape: bytes, content: bytes) -> frozenset[UUID]:
        if shape not in self._known:
            if len(self._known) >= _SHAPES:
                self._known.clear()
            words = shape.split()
            single = len(set(words[1::2])) * 2 == len(words)
            self._known[shape] = holders(content) if single else None
        found = self._known[shape]
        return holders(content) if found is None else found


def _shape(plain: bytes) -> bytes:
    """Plain logs without the clocks: ``s `` is found nowhere but after a clock."""
    return b"".join([text.rstrip(_CLOCK) for text in plain.split(b"s ")])
