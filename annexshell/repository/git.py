"""git's objects and refs, whoever reads and writes them (spec 03 §12.1, §12.3).

libgit2 does, in process (`gitlib`), where it can open the repository, else git's own
programs (`gitprograms`). Both do the same and are told nothing of journals and logs.

Nothing here takes a failure for an absence. A path that is not in a tree is None; a tree
or blob that should be there and is not raises BranchUnreadable.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, NewType, Protocol

from annexshell.errors import AnnexshellError, BranchNotCommitted, BranchUnreadable
from annexshell.repository import packing
from annexshell.repository.modes import Sharing
from annexshell.repository.trees import (
    BadTree,
    Difference,
    Items,
    differences,
    empty_tree,
    parse_tree,
    rebuild,
)

if TYPE_CHECKING:
    from annexshell.repository.config import GitConfig

ObjectId = NewType("ObjectId", str)
"""A full object id in hex."""

_UMASK_LOCK = threading.Lock()
_IN_PROCESS = frozenset(("noop", "preciousobjects", "worktreeconfig"))
"""Extensions of git's repository format that make no difference to libgit2."""


class Person(NamedTuple):
    """Who a commit is by; never empty, see `identity.committer`."""

    name: str
    email: str


class BuiltTree(NamedTuple):
    """A tree, and the paths that git cannot have in it."""

    id: ObjectId
    refused: frozenset[bytes]


class Plumbing(Protocol):
    """One way to a repository's objects and refs.

    Every method may raise one of ``failures``; so does what is missing or of another kind
    than it should be.
    """

    failures: tuple[type[Exception], ...]

    def tip(self, ref: str) -> ObjectId | None:
        """The commit a ref names; None if there is no such ref."""

    def ref_names(self) -> list[str]:
        """All refs, as file system text."""

    def peel(self, ref: str) -> ObjectId:
        """The commit a ref leads to, through tags too."""

    def swap(self, ref: str, old: ObjectId | None, new: ObjectId) -> str | None:
        """Move a ref, durably; else say why not. See `Git.swap`."""

    def contains(self, commit: ObjectId, ancestor: ObjectId) -> bool:
        """Whether ``ancestor`` is one of the ancestors of ``commit``."""

    def common(self, one: ObjectId, other: ObjectId) -> ObjectId | None:
        """A best common ancestor."""

    def tree_of(self, commit: ObjectId) -> ObjectId:
        """The commit's tree."""

    def blob_at(self, commit: ObjectId, path: bytes) -> ObjectId | None:
        """The blob at a path; None if there is no file."""

    def text_at(self, commit: ObjectId, path: bytes, limit: int) -> bytes | None:
        """The bytes of the blob at a path, as `blob`."""

    def blob(self, name: ObjectId, limit: int) -> bytes:
        """A blob's bytes; ValueError if there are more than ``limit``."""

    def raw_tree(self, raw_id: bytes) -> bytes:
        """A tree as git stores it."""

    def write(self, objects: packing.Staged) -> None:
        """Write a few objects, durably."""

    def commit(
        self,
        tree: ObjectId,
        parents: Sequence[ObjectId],
        message: bytes,
        person: Person,
    ) -> ObjectId:
        """Write a commit, durably."""


class _Failing:
    """A block, which keeps nothing: where ``failures`` become a ``kind`` of ours."""

    __slots__ = ("_failures", "_kind", "_where")

    def __init__(
        self,
        kind: type[AnnexshellError],
        failures: tuple[type[Exception], ...],
        where: str,
    ) -> None:
        self._kind = kind
        self._failures = failures
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, self._failures):
            detail = str(error) or type(error).__name__
            raise self._kind(where=self._where, detail=detail) from error


class Git:
    """One repository's object store and refs. Not shared between threads.

    What reads raises BranchUnreadable for objects that are missing or broken, what writes
    raises BranchNotCommitted.
    """

    def __init__(
        self,
        git_dir: str,
        *,
        fsync: bool = True,
        sharing: Sharing,
        algorithm: str = "sha1",
        in_process: bool = True,
    ) -> None:
        """``algorithm`` is the repository's hash; see `in_process`."""
        self._where = git_dir
        self._sharing = sharing
        self._fsync = fsync
        self._algorithm = algorithm
        self._staged = packing.Staged(algorithm)
        self._plumbing = _plumbing(git_dir, algorithm, in_process, fsync)
        self._unreadable = self._failing(BranchUnreadable)

    # -- refs -----------------------------------------------------------------------------

    def tip(self, ref: str) -> ObjectId | None:
        """The commit that ``ref`` names now; None if there is no such ref.

        Raises BranchUnreadable also where the ref names something else than a commit.
        """
        with self._reading():
            return self._plumbing.tip(ref)

    def ref_names(self) -> list[str]:
        """All refs, as file system text."""
        with self._reading():
            return self._plumbing.ref_names()

    def peel(self, ref: str) -> ObjectId | None:
        """The commit that ``ref`` leads to, through tags too; None if it leads to none."""
        try:
            return self._plumbing.peel(ref)
        except self._plumbing.failures:
            return None

    def swap(self, ref: str, old: ObjectId | None, new: ObjectId) -> str | None:
        """Move ``ref`` from ``old`` to ``new``, durably, if it still is at ``old``.

        None if that was done, else what git says about why not. An ``old`` of None is a
        ref that must not exist yet.
        """
        with self._shared_umask():
            try:
                return self._plumbing.swap(ref, old, new)
            except self._plumbing.failures as error:
                return str(error)

    # -- history --------------------------------------------------------------------------

    def contains(self, commit: ObjectId, ancestor: ObjectId) -> bool:
        """Whether ``ancestor`` is ``commit`` or one of its ancestors."""
        if commit == ancestor:
            return True
        with self._reading():
            return self._plumbing.contains(commit, ancestor)

    def common(self, one: ObjectId, other: ObjectId) -> ObjectId | None:
        """A best common ancestor, None for unrelated histories."""
        with self._reading():
            return self._plumbing.common(one, other)

    def commit(
        self,
        tree: ObjectId,
        parents: Sequence[ObjectId],
        message: bytes,
        person: Person,
    ) -> ObjectId:
        """Write a commit and all it needs, durably; no ref is changed."""
        with self._writing():
            self._flush()
            return self._plumbing.commit(tree, parents, message, person)

    # -- trees and blobs ------------------------------------------------------------------

    def tree_of(self, commit: ObjectId) -> ObjectId:
        """The id of the commit's tree."""
        with self._reading():
            return self._plumbing.tree_of(commit)

    def blob_at(self, commit: ObjectId, path: bytes) -> ObjectId | None:
        """The blob at ``path``; None if there is no file (a gitlink is none)."""
        with self._reading():
            return self._plumbing.blob_at(commit, path)

    def text_at(self, commit: ObjectId, path: bytes, limit: int) -> bytes:
        """The bytes at ``path``, as `content`; empty if there is no file."""
        with self._reading():
            return self._plumbing.text_at(commit, path, limit) or b""

    def content(self, blob: ObjectId, limit: int) -> bytes:
        """The bytes of a blob of at most ``limit`` bytes; raises for a larger one."""
        staged = self._staged.content(bytes.fromhex(blob))
        if staged is not None and len(staged) <= limit:
            return staged
        with self._reading():
            return self._plumbing.blob(blob, limit)

    def store(self, content: bytes) -> ObjectId:
        """The id of a blob, which is written with the next commit."""
        with self._writing():
            return ObjectId(self._stage(packing.BLOB, content).hex())

    def build(
        self, commit: ObjectId | None, blobs: Mapping[bytes, ObjectId]
    ) -> BuiltTree:
        """The commit's tree with ``blobs`` put in; see `trees.rebuild`."""
        base = self._empty if commit is None else bytes.fromhex(self.tree_of(commit))
        raw = {path: bytes.fromhex(blob) for path, blob in blobs.items()}
        with self._writing():
            made = rebuild(
                None if base == self._empty else base,
                raw,
                self._read_tree,
                self._write_tree,
            )
        return BuiltTree(ObjectId(made.id.hex()), made.refused)

    def changes(
        self, old: ObjectId | None, new: ObjectId
    ) -> Iterator[Difference | None]:
        """What the tree of commit ``new`` has that ``old`` has not; see `differences`."""
        before = None if old is None else bytes.fromhex(self.tree_of(old))
        with self._reading():
            after = bytes.fromhex(self.tree_of(new))
            yield from differences(before, after, self._read_tree)

    @property
    def _empty(self) -> bytes:
        return empty_tree(self._algorithm)

    def _read_tree(self, raw_id: bytes) -> Items:
        if raw_id == self._empty:
            return {}
        return parse_tree(self._plumbing.raw_tree(raw_id), len(raw_id))

    def _write_tree(self, raw: bytes) -> bytes:
        return self._stage(packing.TREE, raw)

    def _stage(self, kind: int, content: bytes) -> bytes:
        name = self._staged.add(kind, content)
        if self._staged.full:
            self._flush()
        return name

    def _flush(self) -> None:
        if len(self._staged) > packing.LOOSE:
            pack = packing.pack_of(self._staged, self._algorithm)
            packing.install_pack(self._where, pack, fsync=self._fsync)
        else:
            self._plumbing.write(self._staged)
        self._staged.clear()

    # -- seams ----------------------------------------------------------------------------

    def _reading(self) -> _Failing:
        return self._unreadable

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._failing(BranchNotCommitted), self._shared_umask():
            yield

    def _failing(self, kind: type[AnnexshellError]) -> _Failing:
        return _Failing(kind, (BadTree, *self._plumbing.failures), self._where)

    @contextmanager
    def _shared_umask(self) -> Iterator[None]:
        # libgit2 knows nothing of core.sharedRepository: modes come from the umask alone.
        if not self._sharing.shared:
            yield
            return
        with _UMASK_LOCK:
            before = os.umask(0o077)
            os.umask(self._sharing.umask(before))
            try:
                yield
            finally:
                os.umask(before)


def algorithm_of(config: GitConfig) -> str:
    """The hash that names the repository's objects, ``sha1`` or ``sha256``."""
    return (config.get("extensions.objectformat") or "sha1").lower()


def in_process(config: GitConfig) -> bool:
    """Whether libgit2 can open the repository: it knows SHA-1 and refs in files."""
    for name in config.names("extensions."):
        usual = {"objectformat": "sha1", "refstorage": "files"}.get(name[11:])
        value = (config.get(name) or "").lower()
        if name[11:] not in _IN_PROCESS and value != usual:
            return False
    return True


def _plumbing(git_dir: str, algorithm: str, in_process: bool, fsync: bool) -> Plumbing:
    # Either is loaded only where it is used: libgit2 takes longer than many sessions do.
    try:
        if in_process:
            from annexshell.repository.gitlib import Library

            return Library(git_dir, fsync=fsync)
        from annexshell.repository.gitprograms import Programs

        return Programs(git_dir, algorithm, fsync=fsync)
    except (OSError, ValueError, KeyError) as error:
        raise BranchUnreadable(where=git_dir, detail=str(error)) from error
