"""Raw trees: what may be written, and what of a pushed tree is taken over."""

from __future__ import annotations

import hashlib

import pytest

from annexshell.repository.trees import (
    BadTree,
    Item,
    differences,
    format_tree,
    is_safe_path,
    parse_tree,
    rebuild,
)

BLOB = b"\1" * 20
OTHER = b"\2" * 20


class Store:
    """Trees in a dict."""

    def __init__(self) -> None:
        self.trees: dict[bytes, bytes] = {}

    def write(self, raw: bytes) -> bytes:
        name = hashlib.sha1(b"tree %d\0" % len(raw) + raw).digest()
        self.trees[name] = raw
        return name

    def read(self, name: bytes) -> dict[bytes, Item]:
        return parse_tree(self.trees[name])

    def tree(self, **items: tuple[bytes, bytes]) -> bytes:
        return self.write(format_tree({n.encode(): Item(*i) for n, i in items.items()}))


def test_names_sort_as_git_sorts_them() -> None:
    items = {
        b"a": Item(b"40000", BLOB),
        b"a.b": Item(b"100644", BLOB),
        b"a0": Item(b"100644", BLOB),
    }
    raw = format_tree(items)
    assert list(parse_tree(raw)) == [b"a.b", b"a", b"a0"]
    assert parse_tree(raw) == items


@pytest.mark.parametrize(
    "raw", [b"100644 a\0short", b"100644 a", b"nospace\0" + BLOB, b"\0" + BLOB]
)
def test_what_is_no_tree(raw: bytes) -> None:
    with pytest.raises(BadTree):
        parse_tree(raw)


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        (b"a/b/c.log", True),
        (b".hidden", True),
        (b"caf\xe9.log", True),
        (b"../a", False),
        (b"/a", False),
        (b"a//b", False),
        (b"a/", False),
        (b".git/config", False),
        (b"a/.GIT", False),
        (b"", False),
    ],
)
def test_paths_that_a_tree_may_have(path: bytes, safe: bool) -> None:
    assert is_safe_path(path) is safe


def test_rebuilding_touches_only_what_it_must() -> None:
    store = Store()
    untouched = store.tree(x=(b"100644", BLOB))
    base = store.tree(a=(b"40000", untouched), f=(b"120000", BLOB))
    made = rebuild(base, {b"d/e/g": OTHER, b"f": OTHER}, store.read, store.write)
    root = store.read(made.id)
    assert made.refused == frozenset()
    assert root[b"a"].id == untouched
    assert root[b"f"] == Item(b"100644", OTHER)
    inner = store.read(store.read(root[b"d"].id)[b"e"].id)
    assert inner == {b"g": Item(b"100644", OTHER)}


def test_a_gitlink_is_dropped_from_a_directory_that_is_written() -> None:
    store = Store()
    base = store.tree(link=(b"160000", BLOB), f=(b"100644", BLOB))
    made = rebuild(base, {b"g": OTHER}, store.read, store.write)
    assert sorted(store.read(made.id)) == [b"f", b"g"]


def test_a_file_never_takes_the_place_of_a_directory_or_the_reverse() -> None:
    store = Store()
    inner = store.tree(b=(b"100644", BLOB))
    base = store.tree(a=(b"40000", inner), f=(b"100644", BLOB))
    wanted = {b"a": OTHER, b"f/x": OTHER, b"n": OTHER, b"n/x": OTHER, b"../e": OTHER}
    made = rebuild(base, wanted, store.read, store.write)
    assert made.refused == {b"a", b"f/x", b"n/x", b"../e"}
    root = store.read(made.id)
    assert root[b"a"].id == inner
    assert root[b"f"].id == BLOB
    assert root[b"n"].id == OTHER


def test_differences_are_what_the_new_tree_has() -> None:
    store = Store()
    same = store.tree(x=(b"100644", BLOB))
    old = store.tree(a=(b"40000", same), f=(b"100644", BLOB), gone=(b"100644", BLOB))
    deep = store.tree(y=(b"100755", OTHER))
    new = store.tree(
        a=(b"40000", same),
        b=(b"40000", deep),
        f=(b"100644", OTHER),
        link=(b"160000", BLOB),
    )
    found = list(differences(old, new, store.read))
    assert [d and (d.path, d.id) for d in found] == [
        (b"b/y", OTHER),
        (b"f", OTHER),
        None,
    ]


def test_a_pushed_tree_without_end_is_given_up_on() -> None:
    store = Store()
    tree = store.tree(leaf=(b"100644", BLOB))
    for _ in range(2000):
        tree = store.tree(d=(b"40000", tree))
    assert list(differences(None, tree, store.read)) == [None]
