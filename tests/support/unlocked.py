"""Unlocked files in repositories that git alone made."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

from annexshell.model.key import Key
from annexshell.repository.open import Repository
from annexshell.repository.pointers import pointer_text


def work_path(repository: Repository, name: str) -> Path:
    assert repository.work_tree is not None
    return Path(repository.work_tree, name)


def stage(repository: Repository, name: str, content: bytes, mode: str) -> None:
    """Put ``content`` into the index under a name; the work tree is not touched."""
    git = ["git", f"--git-dir={repository.git_dir}"]
    blob = subprocess.run(
        [*git, "hash-object", "-w", "--stdin"],
        input=content,
        check=True,
        capture_output=True,
    ).stdout.decode()
    entry = f"{mode},{blob.strip()},{name}"
    subprocess.run([*git, "update-index", "--add", "--cacheinfo", entry], check=True)


def add_unlocked(
    repository: Repository,
    name: str,
    key: Key,
    content: bytes | None = None,
    mode: int = 0o644,
) -> Path:
    """An unlocked file of a key; ``content`` stands in the work tree, else a pointer."""
    stage(repository, name, pointer_text(key), f"100{mode:o}")
    path = work_path(repository, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pointer_text(key) if content is None else content)
    path.chmod(mode)
    return path


def rows(repository: Repository, table: str = "content") -> list[tuple[object, ...]]:
    """What the database has; nothing if there is none."""
    path = Path(repository.annex_dir, "keysdb", "db")
    if not path.exists():
        return []
    column = "inodecache" if table == "content" else "file"
    database = sqlite3.connect(path)
    try:
        query = f"SELECT key, {column} FROM {table} ORDER BY {column}"
        return database.execute(query).fetchall()
    finally:
        database.close()


def associate(repository: Repository, key: Key, file: bytes) -> None:
    """Add an associated file to a database that is there."""
    database = sqlite3.connect(Path(repository.annex_dir, "keysdb", "db"))
    try:
        row = (key.text, file)
        database.execute("INSERT INTO associated (key, file) VALUES (?, ?)", row)
        database.commit()
    finally:
        database.close()


def restage_log(repository: Repository) -> str:
    path = Path(repository.annex_dir, "restage.log")
    return path.read_text() if path.exists() else ""
