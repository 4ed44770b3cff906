"""git's own programs do what libgit2 does, also where libgit2 cannot (spec 03 §12.3)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from annexshell.errors import BranchNotCommitted, BranchUnreadable
from annexshell.model.clock import SECOND, Clock
from annexshell.repository import packing
from annexshell.repository.branch import Branch
from annexshell.repository.config import GitConfig
from annexshell.repository.git import Git, Person, algorithm_of, in_process
from annexshell.repository.journal import journal_name
from annexshell.repository.modes import Sharing
from tests.support.repositories import BRANCH, K_LOG, U1, U2, U3, K, Repo, plain_repo

SYNCED = "refs/heads/synced/git-annex"
LIMIT = 1 << 20
ME = Person("Me", "me@example.com")

HASHES = pytest.mark.parametrize("algorithm", ["sha1", "sha256"])


def make(path: Path, algorithm: str) -> Repo:
    """A repository whose objects are named by ``algorithm``."""
    repo = plain_repo(path)
    if algorithm == "sha256":
        config = (repo.path / "config").read_text()
        subprocess.run(["rm", "-r", str(repo.path)], check=True)
        repo.home.mkdir(exist_ok=True)
        init = ["git", "init", "-q", "--bare", "--object-format=sha256", str(path)]
        subprocess.run(init, check=True)
        more = config.partition("[user]")[2]
        with (repo.path / "config").open("a") as text:
            text.write("[user]" + more)
    return repo


@pytest.fixture(params=["sha1", "sha256"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Repo:
    return make(tmp_path / "repo", str(request.param))


@pytest.fixture
def git(repo: Repo) -> Git:
    """Always through programs, whatever the hash."""
    algorithm = algorithm_of(repo.open().config)
    where = str(repo.path)
    return Git(where, sharing=Sharing(), algorithm=algorithm, in_process=False)


def test_who_can_open_what() -> None:
    def kind(*items: tuple[str, str]) -> tuple[str, bool]:
        config = GitConfig([(f"extensions.{n}", value) for n, value in items])
        return algorithm_of(config), in_process(config)

    assert kind() == ("sha1", True)
    assert kind(("objectformat", "sha1"), ("worktreeconfig", "true")) == ("sha1", True)
    assert kind(("objectformat", "sha256")) == ("sha256", False)
    assert kind(("refstorage", "files")) == ("sha1", True)
    assert kind(("refstorage", "reftable")) == ("sha1", False)
    assert kind(("somethingnew", "true")) == ("sha1", False)


def test_a_commit_is_made_and_read_back(repo: Repo, git: Git) -> None:
    assert git.tip(BRANCH) is None
    blobs = {b"a/b/c": git.store(b"one\n"), b"d": git.store(b"two\n")}
    tree = git.build(None, blobs)
    assert tree.refused == frozenset()
    made = git.commit(tree.id, [], b"first\n", ME)
    assert git.swap(BRANCH, None, made) is None
    assert git.tip(BRANCH) == git.peel(BRANCH) == made == repo.tip()
    assert git.ref_names() == [BRANCH]
    assert git.tree_of(made) == tree.id
    assert git.blob_at(made, b"a/b/c") == blobs[b"a/b/c"]
    assert git.content(blobs[b"a/b/c"], LIMIT) == b"one\n"
    for absent in (b"a", b"a/b", b"a/x/c", b"d/e", b"x"):
        assert git.blob_at(made, absent) is None
    who = repo.git("show", "-s", "--format=%an %ae %cn %B", BRANCH)
    assert who == b"Me me@example.com Me first\n\n"
    repo.git("fsck", "--strict")


def test_a_ref_moves_only_from_where_it_was(repo: Repo, git: Git) -> None:
    first = repo.commit({b"x": b"1\n"})
    made = git.commit(git.build(None, {}).id, [], b"m\n", ME)
    assert git.swap(BRANCH, None, made) is not None
    assert git.swap(BRANCH, made, made) is not None
    assert repo.tip() == first
    known = git.tip(BRANCH)
    assert git.swap(BRANCH, known, made) is None
    assert repo.tip() == made


def test_history(repo: Repo, git: Git) -> None:
    first = repo.commit({b"x": b"1\n"})
    repo.commit({b"x": b"2\n"}, ref=SYNCED, parents=(first,))
    repo.commit({b"y": b"2\n"})
    ours, theirs = git.tip(BRANCH), git.tip(SYNCED)
    assert ours is not None and theirs is not None
    base = git.common(ours, theirs)
    assert base == first
    assert git.contains(ours, base) and not git.contains(ours, theirs)
    alone = git.commit(git.build(None, {}).id, [], b"m\n", ME)
    assert git.common(ours, alone) is None
    found = [change.path for change in git.changes(base, theirs) if change]
    assert found == [b"x"]


def test_what_others_write_meanwhile_is_seen(repo: Repo, git: Git) -> None:
    repo.commit({b"x": b"1\n"})
    before = git.tip(BRANCH)
    repo.commit({b"x": b"2\n"})
    repo.git("gc", "-q")
    now = git.tip(BRANCH)
    assert now is not None and now != before
    blob = git.blob_at(now, b"x")
    assert blob is not None
    assert git.content(blob, LIMIT) == b"2\n"


def test_a_reader_that_was_killed_is_started_again(
    repo: Repo, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hangup reaches it as well as us, and then we still have to write the log."""
    started = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *words: Any, **how: Any) -> None:
            super().__init__(*words, **how)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    repo.commit({b"x": b"1\n"})
    known = git.tip(BRANCH)
    reader = started[-1]
    reader.kill()
    os.waitid(os.P_PID, reader.pid, os.WEXITED | os.WNOWAIT)
    assert git.tip(BRANCH) == known
    assert started[-1] is not reader


def test_replaced_objects_are_read_as_they_are(repo: Repo, git: Git) -> None:
    """Else what is merged and committed would lack what the replacement lacks."""
    first = repo.commit({b"x": b"1\n", b"y": b"1\n"}, parents=())
    second = repo.commit({b"x": b"1\n2\n"})
    shorter = repo.git("rev-parse", f"{first}:x").decode().strip()
    longer = repo.git("rev-parse", f"{second}:x").decode().strip()
    alone = git.commit(git.build(None, {}).id, [], b"m\n", ME)
    repo.git("replace", longer, shorter)
    repo.git("replace", second, alone)
    tip = git.tip(BRANCH)
    assert tip == second
    blob = git.blob_at(tip, b"x")
    assert blob == longer
    assert git.content(blob, LIMIT) == b"1\n2\n"
    base = git.peel(first)
    assert base is not None and git.contains(tip, base)


def test_a_failure_is_not_an_absence(repo: Repo, git: Git) -> None:
    repo.commit({b"a/x": b"1\n"})
    tip = git.tip(BRANCH)
    assert tip is not None
    blob = git.blob_at(tip, b"a/x")
    assert blob is not None
    with pytest.raises(BranchUnreadable, match="over|has 2 bytes"):
        git.content(blob, 1)
    assert git.content(blob, 2) == git.text_at(tip, b"a/x", 2) == b"1\n"
    assert git.text_at(tip, b"a/y", 2) == git.text_at(tip, b"a", 2) == b""
    with pytest.raises(BranchUnreadable, match="over|has 2 bytes"):
        git.text_at(tip, b"a/x", 1)
    tree = repo.git("rev-parse", f"{BRANCH}:a").decode().strip()
    for name in (blob, tree, tip):
        (repo.path / "objects" / name[:2] / name[2:]).unlink()
    fresh = Git(
        str(repo.path),
        sharing=Sharing(),
        algorithm="sha1" if len(tip) == 40 else "sha256",
        in_process=False,
    )
    with pytest.raises(BranchUnreadable):
        fresh.content(blob, LIMIT)
    with pytest.raises(BranchUnreadable):
        fresh.tip(BRANCH)
    with pytest.raises(BranchUnreadable):
        fresh.tree_of(tip)


def test_a_missing_tree_is_an_error(repo: Repo, git: Git) -> None:
    tip = git.commit(git.build(None, {b"a/x": git.store(b"1\n")}).id, [], b"m\n", ME)
    tree = repo.git("rev-parse", f"{tip}:a").decode().strip()
    (repo.path / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(BranchUnreadable):
        git.blob_at(tip, b"a/x")
    with pytest.raises(BranchUnreadable):
        git.text_at(tip, b"a/x", LIMIT)


def test_a_ref_to_something_else_is_an_error(repo: Repo, git: Git) -> None:
    repo.git(
        "update-ref",
        "refs/tags/t",
        repo.git("hash-object", "-w", "--stdin", stdin=b"x").decode().strip(),
    )
    with pytest.raises(BranchUnreadable, match="no commit"):
        git.tip("refs/tags/t")
    assert git.peel("refs/tags/t") is None
    assert git.peel("refs/tags/absent") is None


def test_what_cannot_be_written_is_said(
    repo: Repo, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> bytes:
        return b"PACK nonsense"

    monkeypatch.setattr("annexshell.repository.gitprograms.pack_of", broken)
    tree = git.build(None, {b"x": git.store(b"1\n")}).id
    with pytest.raises(BranchNotCommitted):
        git.commit(tree, [], b"m\n", ME)


@pytest.mark.thorough
@HASHES
@pytest.mark.parametrize("many", [3, packing.LOOSE + 3])
def test_the_journal_is_committed_and_siblings_are_merged(
    tmp_path: Path, algorithm: str, many: int
) -> None:
    repo = make(tmp_path / "repo", algorithm)
    branch = Branch(repo.open(), Clock(2000 * SECOND))
    branch.create()
    repo.commit({K_LOG: b"1000s 1 %b\n" % U2}, ref=SYNCED, parents=(repo.tip(),))
    repo.put_journal(journal_name(K_LOG), b"1001s 1 %b\n" % U3)
    for number in range(many):
        repo.put_journal(b"%03d_x.log" % number, b"%d\n" % number)
    assert branch.record(K, U1, True)
    branch.settle()
    assert branch.locations(K) == {U1, U2, U3}
    assert repo.journal() == {}
    assert repo.git("show", "git-annex:002/x.log") == b"2\n"
    parents = repo.git("show", "-s", "--format=%P", BRANCH).split()
    assert parents[1].decode() == repo.tip(SYNCED)
    repo.git("fsck", "--strict", "--no-dangling")
    # libgit2 opens what it can, and reads the same.
    assert in_process(repo.open().config) == (algorithm == "sha1")
