"""git trees as raw bytes, and the replacing of some blobs in a tree of trees; pure.

Names in git trees are bytes, but libgit2's Python binding builds trees from text names
only. What a peer pushed is not trusted: only blobs and trees are ever written, under names
that git accepts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

TREE = b"40000"
BLOB = b"100644"
_BLOB_KIND = (b"100", b"120")
_MAX_DEPTH = 16
"""Directories of the git-annex branch are three deep; a pushed tree may be endless."""


class Item(NamedTuple):
    """An entry of a tree: git's mode in octal, and the raw id."""

    mode: bytes
    id: bytes

    @property
    def is_tree(self) -> bool:
        return self.mode == TREE

    @property
    def is_blob(self) -> bool:
        """A file of any mode, or a symbolic link: git-annex reads both as text."""
        return self.mode.startswith(_BLOB_KIND)


Items = dict[bytes, Item]
ReadTree = Callable[[bytes], Items]
WriteTree = Callable[[bytes], bytes]


class BadTree(Exception):
    """The bytes are no tree."""


def empty_tree(algorithm: str) -> bytes:
    """The raw id of the tree without entries, which git knows without having it."""
    return hashlib.new(algorithm, b"tree 0\0", usedforsecurity=False).digest()


def parse_tree(raw: bytes, id_length: int = 20) -> Items:
    """The entries of a tree by name; ids have ``id_length`` bytes. Raises BadTree."""
    items: Items = {}
    position = 0
    while position < len(raw):
        end = raw.find(b"\0", position)
        mode, space, name = raw[position:end].partition(b" ")
        position = end + 1 + id_length
        if end < 0 or not space or position > len(raw):
            raise BadTree
        items[name] = Item(mode.lstrip(b"0"), raw[end + 1 : position])
    return items


def format_tree(items: Items) -> bytes:
    """The tree's bytes; git sorts a tree's name as if it ended in a slash."""
    names = sorted(items, key=lambda n: n + b"/" if items[n].is_tree else n)
    return b"".join(b"%b %b\0%b" % (items[n].mode, n, items[n].id) for n in names)


def is_safe_path(path: bytes) -> bool:
    """Whether git accepts ``path`` in a tree, and nothing below or above can be meant."""
    return all(
        part not in (b"", b".", b"..") and part.lower() != b".git" and b"\0" not in part
        for part in path.split(b"/")
    )


class Rebuilt(NamedTuple):
    """A new tree, and the paths that could not get into it."""

    id: bytes
    refused: frozenset[bytes]


def rebuild(
    base: bytes | None,
    blobs: Mapping[bytes, bytes],
    read: ReadTree,
    write: WriteTree,
) -> Rebuilt:
    """The tree ``base`` with ``blobs`` (path to raw id) put in; other paths stay.

    In the directories that are touched, entries that are neither blob nor tree are
    dropped: one gitlink makes git-annex unable to commit (spec 03 §11.4). A path that is
    unsafe, or would turn a file into a directory or the reverse, is refused.
    """
    refused = {path for path in blobs if not is_safe_path(path)}
    wanted = {path: blobs[path] for path in blobs if path not in refused}
    return _rebuild(base, wanted, b"", read, write, refused)


def _rebuild(
    base: bytes | None,
    blobs: Mapping[bytes, bytes],
    prefix: bytes,
    read: ReadTree,
    write: WriteTree,
    refused: set[bytes],
) -> Rebuilt:
    old = {} if base is None else read(base)
    items = {n: item for n, item in old.items() if item.is_tree or item.is_blob}
    below = _put_files(items, blobs, prefix, refused)
    for name, inner in below.items():
        item = items.get(name)
        if item is not None and not item.is_tree:
            refused.update(prefix + name + b"/" + rest for rest in inner)
            continue
        start = None if item is None else item.id
        tree = _rebuild(start, inner, prefix + name + b"/", read, write, refused)
        if tree.id:
            items[name] = Item(TREE, tree.id)
    if not items and prefix:
        return Rebuilt(b"", frozenset(refused))
    return Rebuilt(write(format_tree(items)), frozenset(refused))


def _put_files(
    items: Items, blobs: Mapping[bytes, bytes], prefix: bytes, refused: set[bytes]
) -> dict[bytes, dict[bytes, bytes]]:
    """Put those blobs into ``items`` that belong there; return the others by directory."""
    below: dict[bytes, dict[bytes, bytes]] = {}
    for path, blob in blobs.items():
        name, slash, rest = path.partition(b"/")
        if slash:
            below.setdefault(name, {})[rest] = blob
        elif name in items and items[name].is_tree:
            refused.add(prefix + path)
        else:
            items[name] = Item(BLOB, blob)
    return below


class Difference(NamedTuple):
    """A blob that a tree has and another has not; ``regular`` if its mode is 100644."""

    path: bytes
    id: bytes
    regular: bool


def differences(
    old: bytes | None, new: bytes, read: ReadTree, prefix: bytes = b""
) -> Iterator[Difference | None]:
    """The blobs of ``new`` that differ from ``old``.

    None stands for something of ``new`` that must not be taken over: a gitlink, or a name
    git does not accept. What only ``old`` has is not a difference: a merge deletes nothing.
    """
    if old == new:
        return
    before = {} if old is None else read(old)
    for name, item in read(new).items():
        if before.get(name) == item:
            continue
        known = item.is_blob or (item.is_tree and prefix.count(b"/") < _MAX_DEPTH)
        if not known or not is_safe_path(name):
            yield None
        elif item.is_tree:
            inside = before.get(name)
            start = inside.id if inside is not None and inside.is_tree else None
            yield from differences(start, item.id, read, prefix + name + b"/")
        else:
            yield Difference(prefix + name, item.id, item.mode == BLOB)
