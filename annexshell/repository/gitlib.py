"""git's objects and refs through libgit2, in process: the one importer of pygit2."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from typing import TypeVar

import pygit2
from pygit2.enums import ConfigLevel, ObjectType, RepositoryOpenFlag
from pygit2.ffi import C, ffi

from annexshell.repository.git import ObjectId, Person
from annexshell.repository.gitprocess import inert_environment, inert_git
from annexshell.repository.packing import Staged

_Kind = TypeVar("_Kind", pygit2.Commit, pygit2.Tree, pygit2.Blob)
_NONE = "0" * 40
_LOOSE = re.compile(rb"[0-9a-f]{40}\n?\Z")
_MOST_COMMITS = 1000
"""Commits of which it is remembered that they are some."""

# The root tree of a large branch has 4096 entries and is over libgit2's limit for what it
# caches, so without this every lookup would inflate it again.
pygit2.settings.cache_object_limit(ObjectType.TREE, 1 << 20)
# The path came from the forced command and was checked against it: see config.read_config.
pygit2.settings.owner_validation = False


class Library:
    """The `Plumbing` of repositories that libgit2 can open."""

    failures: tuple[type[Exception], ...] = (
        pygit2.GitError,
        KeyError,
        ValueError,
        OSError,
    )

    def __init__(self, git_dir: str, *, fsync: bool) -> None:
        """Raises OSError if libgit2 cannot open it after all."""
        self._where = git_dir
        pygit2.settings.enable_fsync_gitdir(fsync)
        flags = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.NO_DOTGIT
        try:
            self._repo = pygit2.Repository(git_dir, flags)
        except pygit2.GitError as error:
            raise OSError(str(error)) from error
        linked = os.path.lexists(os.path.join(git_dir, "commondir"))
        self._refs = None if linked else os.fsencode(git_dir) + b"/"
        self._ref: tuple[bytes | None, str] = (None, "")
        self._commits: dict[str, pygit2.Oid] = {}
        self._root: tuple[ObjectId | None, pygit2.Tree | None] = (None, None)

    def tip(self, ref: str) -> ObjectId | None:
        """See `Plumbing`, as for all methods here."""
        name = self._loose(ref)
        if name is None:
            try:
                name = str(self._repo.lookup_reference(ref).resolve().target)
            except KeyError:
                return None
        self._tree_of(name)
        return ObjectId(name)

    def _loose(self, ref: str) -> str | None:
        """What the ref's own file says, which counts before all others; None if libgit2 is
        to be asked. Every request asks for a ref."""
        if self._refs is None:
            return None
        try:
            fd = os.open(self._refs + os.fsencode(ref), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            text = os.read(fd, 64)
        except OSError:
            return None
        finally:
            os.close(fd)
        known, name = self._ref
        if text != known:
            if not _LOOSE.match(text):
                return None
            name = text[:40].decode()
            self._ref = text, name
        return name

    def _tree_of(self, commit: str) -> pygit2.Oid:
        """The tree of a commit, which never changes. Raises ValueError if it is none."""
        tree = self._commits.get(commit)
        if tree is None:
            tree = self._get(commit, pygit2.Commit).tree_id
            if len(self._commits) >= _MOST_COMMITS:
                self._commits.clear()
            self._commits[commit] = tree
        return tree

    def ref_names(self) -> list[str]:
        return [os.fsdecode(name) for name in self._repo.raw_listall_references()]

    def peel(self, ref: str) -> ObjectId:
        reference = self._repo.lookup_reference(ref)
        return ObjectId(str(reference.peel(pygit2.Commit).id))

    def swap(self, ref: str, old: ObjectId | None, new: ObjectId) -> str | None:
        if old is None:
            return create_ref(self._where, ref, new)
        reference = self._repo.lookup_reference(ref)
        if str(reference.target) != old:
            return "the branch moved"
        reference.set_target(new)
        return None

    def contains(self, commit: ObjectId, ancestor: ObjectId) -> bool:
        return bool(self._repo.descendant_of(commit, ancestor))

    def common(self, one: ObjectId, other: ObjectId) -> ObjectId | None:
        found = self._repo.merge_base(one, other)
        return None if found is None else ObjectId(str(found))

    def tree_of(self, commit: ObjectId) -> ObjectId:
        return ObjectId(str(self._tree_of(commit)))

    def blob_at(self, commit: ObjectId, path: bytes) -> ObjectId | None:
        found = self._file_at(commit, path)
        return None if found is None else ObjectId(str(found))

    def text_at(self, commit: ObjectId, path: bytes, limit: int) -> bytes | None:
        found = self._file_at(commit, path)
        return None if found is None else self._text(found, limit)

    def _file_at(self, commit: ObjectId, path: bytes) -> pygit2.Oid | None:
        *directories, name = os.fsdecode(path).split("/")
        tree = self._root_of(commit)
        for directory in directories:
            entry = _entry(tree, directory)
            if not isinstance(entry, pygit2.Tree):
                return None
            # By itself: else an object that is missing could pass for a name that is.
            tree = self._get(entry.id, pygit2.Tree)
        found = _entry(tree, name)
        return found.id if isinstance(found, pygit2.Blob) else None

    def _root_of(self, commit: ObjectId) -> pygit2.Tree:
        known, tree = self._root
        if tree is None or known != commit:
            tree = self._get(self._tree_of(commit), pygit2.Tree)
            self._root = commit, tree
        return tree

    def blob(self, name: ObjectId, limit: int) -> bytes:
        return self._text(name, limit)

    def _text(self, name: str | pygit2.Oid, limit: int) -> bytes:
        blob = self._get(name, pygit2.Blob)
        if blob.size > limit:
            raise ValueError(f"object {blob.id} has {blob.size} bytes, over {limit}")
        return blob.data

    def raw_tree(self, raw_id: bytes) -> bytes:
        return self._get(pygit2.Oid(raw=raw_id), pygit2.Tree).read_raw()

    def write(self, objects: Staged) -> None:
        for kind, content in objects:
            self._repo.odb.write(kind, content)

    def commit(
        self,
        tree: ObjectId,
        parents: Sequence[ObjectId],
        message: bytes,
        person: Person,
    ) -> ObjectId:
        who = pygit2.Signature(person.name, person.email)
        made = self._repo.create_commit(None, who, who, message, tree, list(parents))
        return ObjectId(str(made))

    def _get(self, name: str | pygit2.Oid, kind: type[_Kind]) -> _Kind:
        found = self._repo[name]
        if not isinstance(found, kind):
            raise ValueError(f"object {name} is not a {kind.__name__.lower()}")
        return found


def _entry(tree: pygit2.Tree, name: str) -> pygit2.Object | None:
    try:
        return tree[name]
    except KeyError:
        return None


def create_ref(git_dir: str, ref: str, new: ObjectId) -> str | None:
    """Make a ref that must not exist; None if that was done, else git's complaint."""
    # libgit2 looks whether a ref exists before it takes the ref's lock; git after.
    # libgit2 runs no hooks, so git runs none here either: they may be another user's.
    git = [*inert_git(git_dir), "-c", "safe.directory=*"]
    done = subprocess.run(
        [*git, "update-ref", ref, new, _NONE],
        env=inert_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    return done.stderr.decode("utf-8", "backslashreplace").strip() or "git failed"


def forget_home() -> None:
    """Have libgit2 look for its config where the environment says now.

    It looked once, when it was loaded.
    """
    for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        C.git_libgit2_opts(
            C.GIT_OPT_SET_SEARCH_PATH, ffi.cast("int", int(level)), ffi.NULL
        )
