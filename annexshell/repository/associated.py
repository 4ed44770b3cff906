"""Which work tree files stand for a key (spec 02 §13.2, §13.3).

The database of git-annex tells quickly, but it lacks what was added since git-annex last
ran and keeps what is gone. So what changed in the index since then is added, and in the
end only a path where the index itself, now, has the key's pointer counts: a file that was
taken out of the annex is none of our business, and a pointer that is not written as
git-annex writes it is left alone. Index and database are only read.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from annexshell.model.key import Key
from annexshell.repository.annex import Annex
from annexshell.repository.gitprocess import GitFailed, git_output
from annexshell.repository.keysdb import Identity, associated_files
from annexshell.repository.pointers import pointer_blob
from annexshell.repository.trees import empty_tree, is_safe_path

_LAST = "refs/annex/last-index"
"""The index, as a tree, when the database was last brought up to date."""
_DIFF = ("diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames")
_REGULAR = (b"100644", b"100755")
_MANY = 500
"""Paths in one command line."""

_Changes = dict[bytes, list[bytes]]


class Associates(NamedTuple):
    """The files of one key."""

    known: bool
    """Whether there are any, locked ones included."""
    unlocked: list[bytes]
    """Paths, relative to the top, where the index has the key's pointer."""


class Associated:
    """The associated files of one repository's keys."""

    def __init__(self, annex: Annex) -> None:
        self._annex = annex
        self._changes: tuple[Identity | None, _Changes] = (None, {})

    def of(self, key: Key) -> Associates:
        """The files of ``key``. Raises GitFailed and OSError."""
        algorithm = self._annex.config.get("extensions.objectformat") or "sha1"
        blob = pointer_blob(key, algorithm)
        found = {*associated_files(self._annex, key)}
        found |= {*self._changed(empty_tree(algorithm).hex()).get(blob, [])}
        safe = sorted(path for path in found if is_safe_path(path))
        return Associates(bool(safe), self._confirmed(safe, blob))

    def _changed(self, empty: str) -> _Changes:
        """Blobs that came into the index since the database was brought up to date.

        Kept while the index is the same. That more may have got into the database
        meanwhile does no harm.
        """
        try:
            now = Identity.of(os.stat(self._annex.repository.git_dir + "/index"))
        except FileNotFoundError:
            return {}
        then, changes = self._changes
        if then != now:
            changes = _parse_changes(self._diff(empty))
            self._changes = (now, changes)
        return changes

    def _diff(self, empty: str) -> bytes:
        git_dir = self._annex.repository.git_dir
        try:
            return git_output(git_dir, *_DIFF, "--no-relative", _LAST)
        except GitFailed:
            # git-annex has not looked at the index of this repository yet.
            return git_output(git_dir, *_DIFF, "--no-relative", empty)

    def _confirmed(self, paths: list[bytes], blob: bytes) -> list[bytes]:
        """Those of the paths that are pointers with this blob in the index."""
        confirmed = []
        for start in range(0, len(paths), _MANY):
            some = [
                f":(top,literal){os.fsdecode(path)}"
                for path in paths[start : start + _MANY]
            ]
            words = ("ls-files", "--stage", "-z", "--full-name", "--", *some)
            listed = git_output(self._annex.repository.git_dir, *words)
            for entry in listed.split(b"\0")[:-1]:
                fields, _, path = entry.partition(b"\t")
                mode, found, stage = fields.split(b" ")
                if mode in _REGULAR and found == blob and stage == b"0":
                    confirmed.append(path)
        return [path for path in confirmed if path in {*paths}]


def _parse_changes(raw: bytes) -> _Changes:
    """``:OLDMODE MODE OLD NEW STATUS NUL PATH NUL`` …, by the new blob."""
    changes: _Changes = {}
    words = raw.split(b"\0")
    for fields, path in zip(words[::2], words[1::2], strict=False):
        _, mode, _, blob, _ = fields.split(b" ")
        if mode in _REGULAR:
            changes.setdefault(blob, []).append(path)
    return changes
