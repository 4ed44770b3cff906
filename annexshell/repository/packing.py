"""New git objects on their way to disk: a few of them loose, many of them as one pack.

A loose object costs an fsync of its own, and with thousands of them the journal's lock
would be held for longer than others wait for it.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
import zlib
from collections.abc import Iterable, Iterator

from annexshell.repository.gitprocess import inert_environment, inert_git

LOOSE = 100
"""Up to this many objects are written one by one."""
LARGEST = 64 << 20
"""Bytes of new objects that are kept in memory."""

COMMIT = 1
TREE = 2
BLOB = 3
_NAMES = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob"}


class Staged:
    """Objects that are not on disk yet, by raw id; ``algorithm`` is git's for names."""

    def __init__(self, algorithm: str = "sha1") -> None:
        self._algorithm = algorithm
        self._objects: dict[bytes, tuple[int, bytes]] = {}
        self._size = 0

    def add(self, kind: int, content: bytes) -> bytes:
        """Stage an object and return its raw id."""
        header = b"%b %d\0" % (_NAMES[kind], len(content))
        name = _digest(header + content, self._algorithm)
        if name not in self._objects:
            self._objects[name] = (kind, content)
            self._size += len(content)
        return name

    def content(self, name: bytes) -> bytes | None:
        """A staged object's bytes, None if it is not staged."""
        found = self._objects.get(name)
        return None if found is None else found[1]

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return iter(self._objects.values())

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def full(self) -> bool:
        return self._size > LARGEST

    def clear(self) -> None:
        self._objects.clear()
        self._size = 0


def pack_of(objects: Iterable[tuple[int, bytes]], algorithm: str = "sha1") -> bytes:
    """A git pack (version 2) of whole objects, for a repository with that algorithm."""
    entries = [_entry(kind, content) for kind, content in objects]
    pack = b"PACK" + struct.pack(">II", 2, len(entries)) + b"".join(entries)
    return pack + _digest(pack, algorithm)


def _digest(content: bytes, algorithm: str) -> bytes:
    return hashlib.new(algorithm, content, usedforsecurity=False).digest()


def _entry(kind: int, content: bytes) -> bytes:
    size = len(content)
    byte, size = kind << 4 | size & 15, size >> 4
    header = bytearray()
    while size:
        header.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    header.append(byte)
    return bytes(header) + zlib.compress(content)


def install_pack(git_dir: str, pack: bytes, *, fsync: bool) -> None:
    """Let git check a pack, index it and make it durable. Raises OSError."""
    durable = [] if fsync else ["-c", "core.fsync=none"]
    done = subprocess.run(
        [*inert_git(git_dir), "-c", "safe.directory=*", *durable]
        + ["index-pack", "--stdin"],
        env=inert_environment(),
        input=pack,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(done.stderr.decode("utf-8", "backslashreplace").strip())
