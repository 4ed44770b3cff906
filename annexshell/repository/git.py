"""git's objects and refs, in process: the one importer of pygit2 (spec 03 §12.1, §12.3).

Nothing here takes a failure for an absence. A path that is not in a tree is None; a tree
or blob that should be there and is not raises BranchUnreadable.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, NewType, TypeVar

import pygit2
from pygit2.enums import ObjectType, RepositoryOpenFlag

from annexshell.errors import AnnexshellError, BranchNotCommitted, BranchUnreadable
from annexshell.repository import packing
from annexshell.repository.modes import Sharing
from annexshell.repository.trees import (
    EMPTY_TREE,
    BadTree,
    Difference,
    Items,
    differences,
    parse_tree,
    rebuild,
)

ObjectId = NewType("ObjectId", str)
"""A full object id in hex."""

_Kind = TypeVar("_Kind", pygit2.Commit, pygit2.Tree, pygit2.Blob)
_NONE = "0" * 40
_FAILURES = (pygit2.GitError, KeyError, ValueError, OSError, BadTree)
_UMASK_LOCK = threading.Lock()

# The root tree of a large branch has 4096 entries and is over libgit2's limit for what it
# caches, so without this every lookup would inflate it again.
pygit2.settings.cache_object_limit(ObjectType.TREE, 1 << 20)
# The path came from the forced command and was checked against it: see config.read_config.
pygit2.settings.owner_validation = False


class Person(NamedTuple):
    """Who a commit is by; never empty, see `identity.committer`."""

    name: str
    email: str


class BuiltTree(NamedTuple):
    """A tree, and the paths that git cannot have in it."""

    id: ObjectId
    refused: frozenset[bytes]


class Git:
    """One repository's object store and refs. Not shared between threads.

    What reads raises BranchUnreadable for objects that are missing or broken, what writes
    raises BranchNotCommitted.
    """

    def __init__(self, git_dir: str, *, fsync: bool = True, sharing: Sharing) -> None:
        self._where = git_dir
        self._sharing = sharing
        self._fsync = fsync
        self._staged = packing.Staged()
        pygit2.settings.enable_fsync_gitdir(fsync)
        flags = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.NO_DOTGIT
        with self._reading():
            self._repo = pygit2.Repository(git_dir, flags)

    # -- refs -----------------------------------------------------------------------------

    def tip(self, ref: str) -> ObjectId | None:
        """The commit that ``ref`` names now; None if there is no such ref.

        Raises BranchUnreadable also where the ref names something else than a commit.
        """
        with self._reading():
            try:
                target = self._repo.lookup_reference(ref).resolve().target
            except KeyError:
                return None
            if not isinstance(self._repo[target], pygit2.Commit):
                raise BranchUnreadable(where=self._where, detail=f"{ref} is no commit")
            return ObjectId(str(target))

    def ref_names(self) -> list[str]:
        """All refs, as file system text."""
        with self._reading():
            return [os.fsdecode(name) for name in self._repo.raw_listall_references()]

    def peel(self, ref: str) -> ObjectId | None:
        """The commit that ``ref`` leads to, through tags too; None if it leads to none."""
        try:
            reference = self._repo.lookup_reference(ref)
            return ObjectId(str(reference.peel(pygit2.Commit).id))
        except _FAILURES:
            return None

    def swap(self, ref: str, old: ObjectId | None, new: ObjectId) -> str | None:
        """Move ``ref`` from ``old`` to ``new``, durably, if it still is at ``old``.

        None if that was done, else what git says about why not. An ``old`` of None is a
        ref that must not exist yet.
        """
        with self._shared_umask():
            if old is None:
                return self._create(ref, new)
            try:
                reference = self._repo.lookup_reference(ref)
                if str(reference.target) != old:
                    return "the branch moved"
                reference.set_target(new)
            except _FAILURES as error:
                return str(error)
        return None

    def _create(self, ref: str, new: ObjectId) -> str | None:
        # libgit2 looks whether a ref exists before it takes the ref's lock; git after.
        # libgit2 runs no hooks, so git runs none here either: they may be another user's.
        safe = ["-c", "safe.directory=*", "-c", f"core.hooksPath={os.devnull}"]
        command = ["git", *safe, "--git-dir", self._where]
        done = subprocess.run(
            [*command, "update-ref", ref, new, _NONE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return None
        return done.stderr.decode("utf-8", "backslashreplace").strip() or "git failed"

    # -- history --------------------------------------------------------------------------

    def contains(self, commit: ObjectId, ancestor: ObjectId) -> bool:
        """Whether ``ancestor`` is ``commit`` or one of its ancestors."""
        if commit == ancestor:
            return True
        with self._reading():
            return bool(self._repo.descendant_of(commit, ancestor))

    def common(self, one: ObjectId, other: ObjectId) -> ObjectId | None:
        """A best common ancestor, None for unrelated histories."""
        with self._reading():
            found = self._repo.merge_base(one, other)
            return None if found is None else ObjectId(str(found))

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
            who = pygit2.Signature(person.name, person.email)
            made = self._repo.create_commit(
                None, who, who, message, tree, list(parents)
            )
            return ObjectId(str(made))

    # -- trees and blobs ------------------------------------------------------------------

    def tree_of(self, commit: ObjectId) -> ObjectId:
        """The id of the commit's tree."""
        with self._reading():
            return ObjectId(str(self._get(commit, pygit2.Commit).tree_id))

    def blob_at(self, commit: ObjectId, path: bytes) -> ObjectId | None:
        """The blob at ``path``; None if there is no file (a gitlink is none)."""
        parts = path.split(b"/")
        with self._reading():
            tree = self._tree(self._get(commit, pygit2.Commit).tree_id)
            for position, part in enumerate(parts, start=1):
                try:
                    entry = tree[os.fsdecode(part)]
                except KeyError:
                    return None
                if position == len(parts):
                    found = ObjectId(str(entry.id))
                    return found if entry.type == ObjectType.BLOB else None
                if entry.type != ObjectType.TREE:
                    return None
                tree = self._tree(entry.id)
        return None

    def content(self, blob: ObjectId, limit: int) -> bytes:
        """The bytes of a blob of at most ``limit`` bytes; raises for a larger one."""
        staged = self._staged.content(bytes.fromhex(blob))
        if staged is not None and len(staged) <= limit:
            return staged
        with self._reading():
            found = self._get(blob, pygit2.Blob)
            if found.size > limit:
                detail = f"object {blob} has {found.size} bytes, over {limit}"
                raise BranchUnreadable(where=self._where, detail=detail)
            return found.data

    def store(self, content: bytes) -> ObjectId:
        """The id of a blob, which is written with the next commit."""
        with self._writing():
            return ObjectId(self._stage(packing.BLOB, content).hex())

    def build(
        self, commit: ObjectId | None, blobs: Mapping[bytes, ObjectId]
    ) -> BuiltTree:
        """The commit's tree with ``blobs`` put in; see `trees.rebuild`."""
        base = bytes.fromhex(EMPTY_TREE if commit is None else self.tree_of(commit))
        raw = {path: bytes.fromhex(blob) for path, blob in blobs.items()}
        with self._writing():
            made = rebuild(
                None if base.hex() == EMPTY_TREE else base,
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

    def _read_tree(self, raw_id: bytes) -> Items:
        if raw_id.hex() == EMPTY_TREE:
            return {}
        return parse_tree(self._tree(pygit2.Oid(raw=raw_id)).read_raw())

    def _write_tree(self, raw: bytes) -> bytes:
        return self._stage(packing.TREE, raw)

    def _stage(self, kind: int, content: bytes) -> bytes:
        name = self._staged.add(kind, content)
        if self._staged.full:
            self._flush()
        return name

    def _flush(self) -> None:
        if len(self._staged) > packing.LOOSE:
            pack = packing.pack_of(self._staged)
            packing.install_pack(self._where, pack, fsync=self._fsync)
        else:
            for kind, content in self._staged:
                self._repo.odb.write(kind, content)
        self._staged.clear()

    def _tree(self, tree: pygit2.Oid) -> pygit2.Tree:
        return self._get(tree, pygit2.Tree)

    def _get(self, name: str | pygit2.Oid, kind: type[_Kind]) -> _Kind:
        found = self._repo[name]
        if not isinstance(found, kind):
            raise ValueError(f"object {name} is not a {kind.__name__.lower()}")
        return found

    # -- seams ----------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._failing(BranchUnreadable):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._failing(BranchNotCommitted), self._shared_umask():
            yield

    @contextmanager
    def _failing(self, kind: type[AnnexshellError]) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            detail = str(error) or type(error).__name__
            raise kind(where=self._where, detail=detail) from error

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
