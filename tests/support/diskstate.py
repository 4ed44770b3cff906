"""What a repository looks like on the disk and to git-annex, fit to be compared.

Times, inodes and the path of the repository itself are left out; everything else that a
server may have changed is here.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from annexshell.logs.location import is_location_path, parse_location
from annexshell.repository.journal import branch_path
from tests.support.client import Repo
from tests.support.twins import annex_dir

State = dict[str, object]
#: What annex/ holds that is compared by what git-annex makes of it, not by name.
_DERIVED = re.compile(
    r"(objects|journal|journal-private|keysdb|reposize|fsck)(/|$)"
    r"|(index|index\.lck|mergedrefs|sentinal|sentinal\.cache)$"
)


class Entry(NamedTuple):
    """A file: what it is, its mode, and its content or where it points."""

    kind: str
    mode: str
    content: bytes


def _entry(path: Path) -> Entry:
    status = path.lstat()
    mode = f"{stat.S_IMODE(status.st_mode):o}"
    if stat.S_ISLNK(status.st_mode):
        return Entry("link", "", os.fsencode(os.readlink(path)))
    if stat.S_ISDIR(status.st_mode):
        return Entry("directory", mode, b"")
    return Entry("file", mode, path.read_bytes())


def _below(top: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(top):
        for name in (*folders, *names):
            found = Path(folder, name)
            yield str(found.relative_to(top)), found


def objects(repo: Repo) -> State:
    """Every file and directory of annex/objects, lock files and promises too.

    Hash directories are shared by keys: they are part of what lies in them, or empty.
    """
    top = annex_dir(repo) / "objects"
    found: State = {}
    for name, path in _below(top):
        entry = _entry(path)
        above = [folder for folder in path.parents if top in folder.parents]
        modes = " ".join(f"{stat.S_IMODE(f.stat().st_mode):o}" for f in above)
        if entry.kind != "directory" or not any(f.is_dir() for f in path.iterdir()):
            found[name] = (entry, modes)
    return found


def leftovers(repo: Repo) -> State:
    """The files under annex/ besides objects, logs and databases."""
    found = _below(annex_dir(repo))
    return {
        name: _entry(path).content if name.startswith("tmp/") else ""
        for name, path in found
        if not _DERIVED.match(name) and not path.is_dir()
    }


def work_tree(repo: Repo) -> State:
    """The files people work with; nothing in a bare repository."""
    if not (repo.path / ".git").exists():
        return {}
    return {
        name: _entry(path)
        for name, path in _below(repo.path)
        if not name.startswith(".git/") and name != ".git"
    }


def logs(repo: Repo) -> State:
    """Location logs by meaning, journals included, and what waits to be committed."""
    found: State = {}
    texts = _committed(repo)
    for directory in ("journal", "journal-private"):
        folder = annex_dir(repo) / directory
        for file in sorted(folder.iterdir()) if folder.is_dir() else []:
            path = branch_path(os.fsencode(file.name))
            found[f"waiting in {directory}: {os.fsdecode(path)}"] = True
            if directory == "journal":
                texts[path] = file.read_bytes()
            else:
                text = file.read_bytes()
                found[f"private: {os.fsdecode(path)}"] = _meaning(path, text)
    public = {os.fsdecode(path): _meaning(path, texts[path]) for path in texts}
    return found | public


def _committed(repo: Repo) -> dict[bytes, bytes]:
    listed = repo.git("ls-tree", "-r", "-z", "git-annex").stdout.split(b"\0")
    entries = [entry.partition(b"\t") for entry in listed if entry]
    return {
        path: repo.git("cat-file", "blob", about.split()[2]).stdout
        for about, _, path in entries
    }


def _meaning(path: bytes, text: bytes) -> object:
    one_level, two_levels = (is_location_path(path, one_level=x) for x in (True, False))
    if not one_level and not two_levels:
        return text
    winners = parse_location(text).winners
    return sorted((uuid, entry.status) for uuid, entry in winners.items())


def database(repo: Repo) -> State:
    """git-annex's list of files, with the file of each inode in place of the inode."""
    path = annex_dir(repo) / "keysdb/db"
    if not path.exists():
        return {}
    names: dict[str, list[str]] = {}
    for name, found in _below(repo.path):
        if not found.is_symlink() and found.is_file():
            names.setdefault(str(found.stat().st_ino), []).append(name)
    connection = sqlite3.connect(path)
    try:
        associated = connection.execute("SELECT key, file FROM associated").fetchall()
        rows = connection.execute("SELECT key, inodecache FROM content").fetchall()
    finally:
        connection.close()
    told: dict[str, list[object]] = {}
    for key, file in sorted(associated):
        told.setdefault(f"{key!r} is in", []).append(file)
    for key, cache in rows:
        inode, size = cache.split(" ")[:2]
        row = (tuple(sorted(names.get(inode, ["gone"]))), size)
        told.setdefault(f"{key!r} lies in", []).append(row)
    return {name: sorted(map(str, values)) for name, values in told.items()}


def disk(repo: Repo) -> dict[str, State]:
    """Everything at once; nothing is changed by looking."""
    return {
        "objects": objects(repo),
        "leftovers": leftovers(repo),
        "work tree": work_tree(repo),
        "logs": logs(repo),
        "database": database(repo),
        "config": {
            "all": sorted(repo.git("config", "--list", "--local").out.split("\n"))
        },
    }


def to_git_annex(repo: Repo) -> dict[str, State]:
    """What git-annex tells of the repository; this lets it bring things up to date."""

    def told(*words: str) -> str:
        done = repo.annex(*words, check=False)
        lines = done.all.replace(str(repo.path), "REPO").splitlines()
        # Said when there was something in the journal, which is compared by itself.
        told = [line for line in lines if line != "(recording state in git...)"]
        return "\n".join([f"ended with {done.code}", *told])

    seen: State = {
        "whereis": _whereis(repo),
        "fsck fast": told("fsck", "--all", "--fast"),
    }
    seen["fsck"] = told("fsck", "--all")
    if (repo.path / ".git").exists():
        told("restage")
        seen["status"] = repo.git("status", "--porcelain", check=False).all
        seen["unlocked"] = told("find", "--unlocked")
        seen["here"] = told("find", "--json")
        seen["files fsck"] = told("fsck")
    return {"git-annex": seen}


def _whereis(repo: Repo) -> object:
    told = repo.annex("whereis", "--all", "--json", check=False).out
    found = [json.loads(line) for line in told.splitlines()]
    return sorted((f["key"], [w["uuid"] for w in f["whereis"]]) for f in found)


class Change(NamedTuple):
    """One thing that is not the same in two states."""

    part: str
    name: str
    theirs: object
    ours: object

    def __str__(self) -> str:
        return (
            f"{self.part}: {self.name}\n  git-annex:  {str(self.theirs)[:700]}"
            f"\n  annexshell: {str(self.ours)[:700]}"
        )


def changes(theirs: dict[str, State], ours: dict[str, State]) -> list[Change]:
    """What differs, thing by thing; None stands for what is not there."""
    found = []
    for part in theirs:
        mine, other = ours[part], theirs[part]
        for name in sorted(mine.keys() | other.keys()):
            if mine.get(name) != other.get(name):
                found.append(Change(part, name, other.get(name), mine.get(name)))
    return found
