"""git's objects and refs through git's own programs.

For repositories that libgit2 cannot open: those with SHA-256 names, and whatever format
of refs the installed git knows and libgit2 does not. One ``git cat-file --batch`` answers
all reads and sees what others write meanwhile; each write is a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import time
import weakref
from collections.abc import Sequence
from typing import IO, NamedTuple

from annexshell.repository.git import ObjectId, Person
from annexshell.repository.gitprocess import inert_environment, inert_git
from annexshell.repository.packing import COMMIT, Staged, pack_of
from annexshell.repository.trees import Items, parse_tree

_TREES = 512
"""Trees kept parsed; one that is not asked for any more costs memory only."""
_CHUNK = 1 << 20


class _Found(NamedTuple):
    name: ObjectId
    kind: str
    content: bytes


class Programs:
    """The `Plumbing` of repositories that git itself must open."""

    failures: tuple[type[Exception], ...] = (KeyError, ValueError, OSError)

    def __init__(self, git_dir: str, algorithm: str, *, fsync: bool) -> None:
        self._git = [
            *inert_git(git_dir),
            *("-c", "safe.directory=*"),
            *("-c", f"core.fsync={'all' if fsync else 'none'}"),
            # As libgit2: a pushed refs/replace/ must not change what the branch says.
            "--no-replace-objects",
        ]
        self._algorithm = algorithm
        self._trees: dict[bytes, Items] = {}
        self._reader: subprocess.Popen[bytes] | None = None

    # -- refs and history -----------------------------------------------------------------

    def tip(self, ref: str) -> ObjectId | None:
        """See `Plumbing`, as for all methods here."""
        found = self._look_up(os.fsencode(ref), _CHUNK)
        if found is None:
            # What cat-file cannot find may also be a ref to an object that is gone.
            code, target = self._try("rev-parse", "--verify", "--quiet", ref)
            if code == 0:
                raise KeyError(f"{ref}: object {target.decode().strip()} is missing")
            return None
        if found.kind != "commit":
            raise ValueError(f"{ref} is no commit")
        return found.name

    def ref_names(self) -> list[str]:
        listed = self._run("for-each-ref", "--format=%(refname)")
        return [os.fsdecode(name) for name in listed.splitlines()]

    def peel(self, ref: str) -> ObjectId:
        name = os.fsencode(ref) + b"^{commit}"
        return self._need(name, "commit", _CHUNK).name

    def swap(self, ref: str, old: ObjectId | None, new: ObjectId) -> str | None:
        before = "0" * len(new) if old is None else old
        self._run("update-ref", ref, new, before)
        return None

    def contains(self, commit: ObjectId, ancestor: ObjectId) -> bool:
        code, _ = self._try("merge-base", "--is-ancestor", ancestor, commit)
        return code == 0

    def common(self, one: ObjectId, other: ObjectId) -> ObjectId | None:
        code, found = self._try("merge-base", one, other)
        return ObjectId(found.decode().strip()) if code == 0 else None

    # -- reading objects ------------------------------------------------------------------

    def tree_of(self, commit: ObjectId) -> ObjectId:
        text = self._need(commit.encode(), "commit", _CHUNK).content
        word, _, tree = text.partition(b"\n")[0].partition(b" ")
        if word != b"tree":
            raise ValueError(f"commit {commit} is damaged")
        return ObjectId(tree.decode("ascii"))

    def blob_at(self, commit: ObjectId, path: bytes) -> ObjectId | None:
        items = self._items(bytes.fromhex(self.tree_of(commit)))
        *directories, name = path.split(b"/")
        for directory in directories:
            item = items.get(directory)
            if item is None or not item.is_tree:
                return None
            items = self._items(item.id)
        found = items.get(name)
        return ObjectId(found.id.hex()) if found and found.is_blob else None

    def text_at(self, commit: ObjectId, path: bytes, limit: int) -> bytes | None:
        found = self.blob_at(commit, path)
        return None if found is None else self.blob(found, limit)

    def blob(self, name: ObjectId, limit: int) -> bytes:
        return self._need(name.encode(), "blob", limit).content

    def raw_tree(self, raw_id: bytes) -> bytes:
        return self._need(raw_id.hex().encode(), "tree", None).content

    def _items(self, tree: bytes) -> Items:
        known = self._trees.get(tree)
        if known is None:
            if len(self._trees) >= _TREES:
                self._trees.clear()
            known = self._trees[tree] = parse_tree(self.raw_tree(tree), len(tree))
        return known

    def _need(self, name: bytes, kind: str, limit: int | None) -> _Found:
        found = self._look_up(name, limit)
        shown = name.decode("utf-8", "backslashreplace")
        if found is None:
            raise KeyError(f"object {shown} is missing")
        if found.kind != kind:
            raise ValueError(f"object {shown} is not a {kind}")
        return found

    def _look_up(self, name: bytes, limit: int | None) -> _Found | None:
        """Ask cat-file; what is over ``limit`` bytes is read and given up."""
        try:
            header, out = self._asked(name)
        except BrokenPipeError:
            # A signal to all of us has ended it between two questions, say.
            header, out = self._asked(name)
        words = header.split()
        if header.endswith(b" missing\n") or header.endswith(b" ambiguous\n"):
            return None
        if len(words) != 3 or not words[2].isdigit():
            self._stop()
            raise OSError("git cat-file ended, or said what is not understood")
        size = int(words[2])
        if limit is not None and size > limit:
            self._stop()
            raise ValueError(f"object {words[0].decode()} has {size} bytes")
        content = out.read(size + 1)
        if len(content) != size + 1:
            self._stop()
            raise OSError("git cat-file ended before the object did")
        return _Found(ObjectId(words[0].decode()), words[1].decode(), content[:-1])

    def _asked(self, name: bytes) -> tuple[bytes, IO[bytes]]:
        """The first line of the answer. Raises BrokenPipeError where none comes."""
        to, out = self._reading()
        try:
            to.write(name + b"\n")
            to.flush()
            header = out.readline()
            if not header:
                raise BrokenPipeError("git cat-file ended")
        except BrokenPipeError:
            self._stop()
            raise
        return header, out

    def _reading(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._reader is None:
            self._reader = subprocess.Popen(
                [*self._git, "cat-file", "--batch"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=inert_environment(),
            )
            self._end = weakref.finalize(self, _end, self._reader)
        to, out = self._reader.stdin, self._reader.stdout
        assert to is not None and out is not None
        return to, out

    def _stop(self) -> None:
        self._end()
        self._reader = None

    # -- writing objects ------------------------------------------------------------------

    def write(self, objects: Staged) -> None:
        if len(objects):
            pack = pack_of(objects, self._algorithm)
            self._run("unpack-objects", "-q", stdin=pack)

    def commit(
        self,
        tree: ObjectId,
        parents: Sequence[ObjectId],
        message: bytes,
        person: Person,
    ) -> ObjectId:
        now = time.localtime()
        minutes = abs(now.tm_gmtoff) // 60
        zone = f"{'-' if now.tm_gmtoff < 0 else '+'}{minutes // 60:02}{minutes % 60:02}"
        who = f"{person.name} <{person.email}> {int(time.mktime(now))} {zone}"
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {who}", f"committer {who}", "", ""]
        staged = Staged(self._algorithm)
        made = staged.add(COMMIT, "\n".join(lines).encode() + message)
        self.write(staged)
        return ObjectId(made.hex())

    # -- processes ------------------------------------------------------------------------

    def _run(self, *words: str, stdin: bytes = b"") -> bytes:
        code, out = self._try(*words, stdin=stdin, most=0)
        return out

    def _try(self, *words: str, stdin: bytes = b"", most: int = 1) -> tuple[int, bytes]:
        """The exit code, up to ``most``, and the output; OSError for a greater one."""
        done = subprocess.run(
            [*self._git, *words],
            input=stdin,
            capture_output=True,
            check=False,
            env=inert_environment(),
        )
        if not 0 <= done.returncode <= most:
            complaint = done.stderr.decode("utf-8", "backslashreplace").strip()
            raise OSError(complaint or f"git {words[0]} failed")
        return done.returncode, done.stdout


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        try:
            pipe.close()
        except BrokenPipeError:
            continue  # it has ended already
    process.wait()
