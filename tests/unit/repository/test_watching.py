"""What is noticed of refs that change, and what is not worth a word."""

from __future__ import annotations

import errno
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import inotify_simple
import pytest

from annexshell.repository.errors import CannotWatch, RefsGone
from annexshell.repository.open import Repository, open_repository
from annexshell.repository.watching import RefWatcher
from tests.support.process import LIMIT
from tests.support.shell import git, make_annex

Commit = Callable[[str], bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_annex(tmp_path.resolve() / "r.git")


@pytest.fixture
def repository(path: Path) -> Repository:
    return open_repository(str(path))


@pytest.fixture
def commit(path: Path) -> Commit:
    """Makes a commit that is on no branch."""
    tree = git("-C", path, "mktree", "--missing").strip()

    def make(message: str) -> bytes:
        made = git("-C", path, "commit-tree", tree, "-m", message)
        return made.strip().encode()

    return make


@pytest.fixture
def watcher(repository: Repository) -> Iterator[RefWatcher]:
    with RefWatcher(repository) as made:
        yield made


def update(path: Path, ref: str, sha: bytes) -> None:
    git("-C", path, "update-ref", ref, sha.decode())


def woken(watcher: RefWatcher) -> bool:
    """Whether the kernel has anything to say that is worth a look, now."""
    poll = select.poll()
    poll.register(watcher.fileno(), select.POLLIN)
    return bool(poll.poll(0)) and watcher.woken()


def wait(watcher: RefWatcher) -> None:
    poll = select.poll()
    poll.register(watcher.fileno(), select.POLLIN)
    while not watcher.woken():
        assert poll.poll(LIMIT * 1000), "nothing happened"


def test_created_and_changed_refs(
    path: Path, watcher: RefWatcher, commit: Commit
) -> None:
    one, two = commit("one"), commit("two")
    update(path, "refs/heads/main", one)
    wait(watcher)
    assert watcher.changes() == [one]
    assert watcher.changes() == []
    update(path, "refs/heads/main", two)
    wait(watcher)
    assert watcher.changes() == [two]


def test_several_at_once_are_told_once_each(
    path: Path, watcher: RefWatcher, commit: Commit
) -> None:
    one, two = commit("one"), commit("two")
    for name, sha in (("a", one), ("b", two), ("c", one)):
        update(path, f"refs/heads/{name}", sha)
    wait(watcher)
    assert sorted(watcher.changes()) == sorted([one, two])


def test_refs_in_directories_that_did_not_exist(
    path: Path, watcher: RefWatcher, commit: Commit
) -> None:
    """Made in one go, so that the file is there before its directory can be watched."""
    one, two = commit("one"), commit("two")
    update(path, "refs/heads/a/b/c", one)
    wait(watcher)
    assert watcher.changes() == [one]
    update(path, "refs/heads/a/b/c", two)
    wait(watcher)
    assert watcher.changes() == [two]


def test_a_directory_that_was_removed_and_made_again(
    path: Path, watcher: RefWatcher, commit: Commit
) -> None:
    one, two = commit("one"), commit("two")
    update(path, "refs/heads/a/b", one)
    watcher.changes()
    git("-C", path, "update-ref", "-d", "refs/heads/a/b")
    assert watcher.changes() == []
    assert not (path / "refs/heads/a").exists()
    update(path, "refs/heads/a/b", two)
    wait(watcher)
    assert watcher.changes() == [two]


def test_packing_is_no_change_but_a_packed_change_is(
    path: Path, watcher: RefWatcher, commit: Commit
) -> None:
    one, two = commit("one"), commit("two")
    update(path, "refs/heads/main", one)
    assert watcher.changes() == [one]
    git("-C", path, "pack-refs", "--all")
    assert not (path / "refs/heads/main").exists()
    assert watcher.changes() == []
    watcher.woken()
    packed = path / "packed-refs"
    new = path / "packed-refs.new"
    new.write_bytes(packed.read_bytes().replace(one, two))
    new.rename(packed)
    wait(watcher)
    assert watcher.changes() == [two]


def test_deleting_is_no_change(path: Path, watcher: RefWatcher, commit: Commit) -> None:
    update(path, "refs/heads/main", commit("one"))
    watcher.changes()
    git("-C", path, "update-ref", "-d", "refs/heads/main")
    assert watcher.changes() == []


def test_what_is_no_ref_is_not_told(
    path: Path, watcher: RefWatcher, commit: Commit
) -> None:
    """Also a FIFO, which must not be waited for, and a link out of the repository."""
    one = commit("one")
    outside = path.parent / "outside"
    outside.write_bytes(one + b"\n")
    heads = path / "refs/heads"
    (heads / "text").write_text("hello\n")
    (heads / "symbolic").write_text("ref: refs/heads/main\n")
    (heads / "long").write_bytes(one * 2)
    (heads / "main.lock").write_bytes(one)
    (heads / "link").symlink_to(outside)
    (heads / "linked").symlink_to(path.parent)
    os.mkfifo(heads / "fifo")
    assert watcher.changes() == []


def test_locks_and_other_files_of_git_wake_nobody(
    path: Path, watcher: RefWatcher
) -> None:
    watcher.woken()
    (path / "refs/heads/main.lock").touch()
    (path / "index.lock").touch()
    (path / "FETCH_HEAD").write_text("x")
    assert not woken(watcher)


def test_ids_of_either_length_are_known(path: Path, watcher: RefWatcher) -> None:
    (path / "refs/heads/main").write_bytes(b"a" * 64 + b"\n")
    assert watcher.changes() == [b"a" * 64]


def test_what_there_was_before(
    path: Path, repository: Repository, commit: Commit
) -> None:
    """Loose refs, and branches that are packed; not a packed tag, of which many may be."""
    branch, tag, loose, loose_tag = map(commit, ("b", "t", "l", "lt"))
    update(path, "refs/heads/packed", branch)
    update(path, "refs/tags/packed", tag)
    git("-C", path, "pack-refs", "--all")
    update(path, "refs/heads/loose", loose)
    update(path, "refs/tags/loose", loose_tag)
    with RefWatcher(repository) as watcher:
        assert set(watcher.existing()) == {branch, loose, loose_tag}


def test_a_linked_worktree_has_the_refs_of_its_main_repository(
    path: Path, commit: Commit
) -> None:
    one, two = commit("one"), commit("two")
    update(path, "refs/heads/main", one)
    tree = path.parent / "tree"
    git("-C", path, "worktree", "add", "-q", tree, "main")
    with RefWatcher(open_repository(str(tree))) as watcher:
        assert watcher.existing() == [one]
        update(path, "refs/heads/other", two)
        wait(watcher)
        assert watcher.changes() == [two]


@pytest.mark.parametrize("put_back", [False, True])
def test_refs_that_vanish(path: Path, watcher: RefWatcher, put_back: bool) -> None:
    (path / "refs").rename(path / "gone")
    if put_back:
        (path / "refs").mkdir()
    wait(watcher)
    with pytest.raises(RefsGone, match=str(path / "refs")):
        watcher.changes()


def test_a_repository_that_was_moved(path: Path, watcher: RefWatcher) -> None:
    path.rename(path.parent / "elsewhere.git")
    wait(watcher)
    with pytest.raises(RefsGone):
        watcher.changes()


def test_refs_that_were_never_there(path: Path, repository: Repository) -> None:
    (path / "refs").rename(path / "gone")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RefsGone):
        RefWatcher(repository)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "fs.inotify.max_user_watches"),
        (errno.EACCES, "Permission denied"),
    ],
)
def test_watches_that_cannot_be_had(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def refuse(self: object, path: str, mask: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(inotify_simple.INotify, "add_watch", refuse)
    with pytest.raises(CannotWatch, match=advice):
        RefWatcher(repository)


def test_too_many_watchers(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object, **named: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(inotify_simple, "INotify", refuse)
    with pytest.raises(CannotWatch, match="fs.inotify.max_user_instances"):
        RefWatcher(repository)


def test_refs_that_are_not_files(path: Path) -> None:
    repository = open_repository(str(path))
    repository.config._values["extensions.refstorage"] = ["reftable"]
    with pytest.raises(CannotWatch, match="not kept in files"):
        RefWatcher(repository)


def test_what_the_kernel_could_not_tell_is_found(
    path: Path,
    watcher: RefWatcher,
    commit: Commit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full queue loses events, and says only that."""
    one = commit("one")
    update(path, "refs/heads/a/b", one)
    overflow = inotify_simple.Event(-1, inotify_simple.flags.Q_OVERFLOW, 0, "")
    monkeypatch.setattr(watcher._inotify, "read", lambda timeout: [overflow])
    assert watcher.woken()
    assert watcher.changes() == [one]


@pytest.mark.thorough
def test_a_ref_may_be_as_deep_as_a_path(
    path: Path, repository: Repository, commit: Commit
) -> None:
    sha = commit("deep")
    deep = "refs/heads/" + "d/" * 1500 + "ref"
    update(path, deep, sha)
    try:
        with RefWatcher(repository) as watcher:
            assert watcher.existing() == [sha]
            new = commit("newer")
            update(path, deep, new)
            assert watcher.changes() == [new]
    finally:
        # Too deep for pytest, which sweeps its folders some runs later.
        subprocess.run(["rm", "-r", path / "refs/heads/d"], check=True)
