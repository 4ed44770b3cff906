"""Many new objects become one pack that git itself accepts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.errors import BranchNotCommitted
from annexshell.repository import packing
from annexshell.repository.branch import Branch
from annexshell.repository.packing import BLOB, Staged, install_pack, pack_of
from tests.support.repositories import Repo, plain_repo

MANY = packing.LOOSE + 50


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "repo")


@pytest.mark.parametrize("size", [0, 1, 15, 16, 2047, 2048, 300_000])
def test_git_reads_back_what_was_packed(size: int, repo: Repo) -> None:
    staged = Staged()
    content = os.urandom(size)
    name = staged.add(BLOB, content)
    assert staged.add(BLOB, content) == name
    assert len(staged) == 1
    install_pack(str(repo.path), pack_of(staged), fsync=False)
    assert repo.git("cat-file", "blob", name.hex()) == content
    repo.git("fsck", "--strict")


def test_a_pack_that_git_refuses_is_an_error(repo: Repo) -> None:
    with pytest.raises(OSError):
        install_pack(str(repo.path), b"PACK nonsense", fsync=False)


def test_a_large_journal_is_committed_as_a_pack(repo: Repo) -> None:
    for number in range(MANY):
        repo.put_journal(b"%03d_x.log" % number, b"%d\n" % number)
    Branch(repo.open()).settle()
    assert repo.journal() == {}
    assert repo.git("show", "git-annex:007/x.log") == b"7\n"
    assert len(repo.git("ls-tree", "-r", "git-annex").splitlines()) == MANY
    assert len(list((repo.path / "objects/pack").glob("*.pack"))) == 1
    repo.git("fsck", "--strict")


def test_memory_is_bounded(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGEST", 20)
    for number in range(30):
        repo.put_journal(b"%d.log" % number, b"some text %d\n" % number)
    Branch(repo.open()).settle()
    assert repo.git("show", "git-annex:7.log") == b"some text 7\n"
    repo.git("fsck", "--strict")


def test_failing_to_write_objects_leaves_the_journal(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(git_dir: str, pack: bytes, *, fsync: bool) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(packing, "install_pack", full)
    Branch(repo.open()).create()
    tip = repo.tip()
    for number in range(MANY):
        repo.put_journal(b"%d.log" % number, b"x%d\n" % number)
    with pytest.raises(BranchNotCommitted, match="no space left"):
        Branch(repo.open()).settle()
    assert repo.tip() == tip
    assert len(repo.journal()) == MANY
