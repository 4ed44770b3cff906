"""What looking up one key costs, however many there are: reads of objects and of the ref."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annexshell.errors import BranchUnreadable
from annexshell.model.ids import UUID
from annexshell.repository.branch import Branch
from annexshell.repository.filelock import try_lock
from annexshell.repository.gitlib import Library
from tests.support.big_branch import BigBranch
from tests.support.repositories import (
    BRANCH,
    C1,
    K_LOG,
    U1,
    U2,
    U3,
    K,
    Repo,
    plain_repo,
)

_KEYS = 3000


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "repo")


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often libgit2 reads an object, by its kind, and how often the ref is read."""
    counts: Counter[str] = Counter()
    get: Callable[..., Any] = Library._get
    loose = Library._loose

    def counting(self: Library, name: Any, kind: type[Any]) -> Any:
        counts[kind.__name__] += 1
        return get(self, name, kind)

    def reading(self: Library, ref: str) -> str | None:
        counts["ref"] += 1
        return loose(self, ref)

    monkeypatch.setattr(Library, "_get", counting)
    monkeypatch.setattr(Library, "_loose", reading)
    return counts


def test_a_look_up_reads_three_objects(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [UUID(b"%08d-1111-4111-8111-111111111111" % n) for n in range(3)]
    big = BigBranch(nodes, _KEYS)
    big.import_all(repo)
    branch = Branch(repo.open())
    assert branch.locations(big.key(0))
    counts = counted(monkeypatch)
    for number in range(1, 101):
        branch.locations(big.key(number))
    # Two levels of directories and the log: neither commit nor root are read again.
    assert counts == {"Tree": 200, "Blob": 100, "ref": 100}
    counts.clear()
    assert branch.holders(big.key(1)) == branch.locations(big.key(1))
    assert counts == {"Tree": 4, "Blob": 2, "ref": 2}
    counts.clear()
    branch.locations(big.key(_KEYS + 1))
    assert counts["Blob"] == 0 and counts["ref"] == 1


def test_a_new_commit_is_seen_at_once(repo: Repo) -> None:
    branch = Branch(repo.open())
    assert branch.locations(K) == frozenset()
    for number, uuid in enumerate((U1, U2, U3)):
        repo.commit({K_LOG: b"%ds 1 %b\n" % (1000 + number, uuid)})
        assert branch.locations(K) == {uuid}
    repo.commit({b"cluster.log": b"1000s %b %b\n" % (C1, U3)})
    assert branch.locations(K) == {U3, C1}
    assert branch.holders(K) == {U3}


def test_wherever_git_keeps_the_ref_it_is_found(repo: Repo) -> None:
    commit = repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    branch = Branch(repo.open())
    repo.git("pack-refs", "--all")
    assert branch.locations(K) == {U1}
    repo.git("update-ref", "refs/heads/other", commit)
    repo.git("symbolic-ref", BRANCH, "refs/heads/other")
    assert branch.locations(K) == {U1}
    repo.git("symbolic-ref", "--delete", BRANCH)
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"text").strip()
    file = repo.path / (".git" if (repo.path / ".git").is_dir() else "") / BRANCH
    file.write_bytes(blob + b"\n")
    with pytest.raises(BranchUnreadable):
        branch.locations(K)
    file.write_bytes(b"nonsense\n")
    with pytest.raises(BranchUnreadable):
        branch.locations(K)


def test_a_ref_that_lost_its_text_is_told(repo: Repo) -> None:
    """As a power failure may leave it: that is no ref that was read before."""
    repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    branch = Branch(repo.open())
    (
        repo.path / (".git" if (repo.path / ".git").is_dir() else "") / BRANCH
    ).write_bytes(b"")
    with pytest.raises(BranchUnreadable, match="reference"):
        branch.locations(K)


def test_what_waits_for_nobody_is_recorded_at_once(repo: Repo) -> None:
    repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    opened = repo.open()
    branch = Branch(opened)
    # What git's objects are read with takes long to load; then a thread does better.
    assert not branch.record_at_once(K, {U2: True})
    assert branch.locations(K) == {U1}
    assert branch.record_at_once(K, {U2: True, U1: False})
    assert branch.locations(K) == {U2}
    held = try_lock(opened.annex_dir + "/journal.lck", exclusive=True)
    assert held is not None
    with held:
        assert not branch.record_at_once(K, {U3: True})
    assert branch.locations(K) == {U2}
    assert branch.record_at_once(K, {U3: True})
    assert branch.locations(K) == {U2, U3}
