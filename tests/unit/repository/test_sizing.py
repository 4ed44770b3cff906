"""What each repository holds: by the branch, by its changes, and by the journal."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from annexshell.errors import BranchUnreadable
from annexshell.logs.location import location_path
from annexshell.logs.merge import join
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.branch import Branch
from annexshell.repository.git import ObjectId
from annexshell.repository.journal import journal_name
from annexshell.repository.sizing import Measured, advance, measure, waiting
from tests.support.big_branch import BigBranch
from tests.support.branches import import_commit
from tests.support.repositories import (
    BRANCH,
    C1,
    K_LOG,
    U1,
    U2,
    U3,
    Repo,
    plain_repo,
)
from tests.support.sized import branch_files, log_text, plainly
from tests.unit.repository.test_gitprograms import make

PRESENT = b"1000s 1 %b\n"
BIG = location_path(Key(b"WORM", b"big", size=1000))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "repo")


def sizes(repo: Repo) -> dict[UUID, int]:
    return measure(repo.open()).sizes


def adds(repo: Repo, commit: str | None = None) -> dict[UUID, int]:
    opened = repo.open()
    told = None if commit is None else ObjectId(commit)
    return waiting(opened, Branch(opened), told)


def test_without_a_branch_nothing_is_known(repo: Repo) -> None:
    assert measure(repo.open()) == Measured(None, {})
    assert adds(repo) == {}


def test_who_is_described_has_a_size(repo: Repo) -> None:
    repo.commit({b"uuid.log": b"%b here timestamp=1s\n" % U1})
    assert sizes(repo) == {U1: 0}


def test_a_cluster_holds_nothing(repo: Repo) -> None:
    repo.commit({b"uuid.log": b"%b c timestamp=1s\n" % C1, K_LOG: PRESENT % C1})
    assert sizes(repo) == {C1: 0}


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_whatever_names_the_objects(tmp_path: Path, algorithm: str) -> None:
    repo = make(tmp_path / "repo", algorithm)
    old = branch_files(random.Random(1))
    first = measured(repo, old)
    files = old | branch_files(random.Random(2))
    tip = ObjectId(import_commit(repo, BRANCH, files, None))
    assert advance(repo.open(), first, tip) == Measured(tip, plainly(files))


def measured(repo: Repo, files: dict[bytes, bytes]) -> Measured:
    import_commit(repo, BRANCH, files, None)
    found = measure(repo.open())
    assert found.sizes == plainly(files)
    return found


def test_one_level_of_directories(repo: Repo) -> None:
    repo.git("config", "annex.tune.branchhash1", "true")
    files = branch_files(random.Random(3), one_level=True)
    import_commit(repo, BRANCH, files, None)
    assert sizes(repo) == plainly(files, one_level=True)
    assert any(plainly(files, one_level=True).values())


@pytest.mark.thorough
def test_many_logs_take_many_pieces(repo: Repo) -> None:
    big = BigBranch([U1, U2, U3], 5000)
    big.import_all(repo)
    old = measure(repo.open())
    assert set(old.sizes) == {U1, U2, U3}
    held = sum(old.sizes.values())
    assert 1.8 * held > 2 * sum(map(big.size, range(5000))) > held
    tip = ObjectId(big.import_changes(repo, 1000))
    assert advance(repo.open(), old, tip) == measure(repo.open()) != old


def test_nothing_to_do_where_nothing_changed(repo: Repo) -> None:
    old = measured(repo, {K_LOG: PRESENT % U1})
    assert old.commit is not None
    assert advance(repo.open(), old, old.commit) is old


@pytest.mark.parametrize("gone", [None, "1" * 40, "HEAD", "--output=x", ""])
def test_from_a_commit_that_is_gone_no_way_leads_on(
    repo: Repo, gone: str | None
) -> None:
    tip = ObjectId(repo.commit({K_LOG: PRESENT % U1}))
    old = None if gone is None else ObjectId(gone)
    assert advance(repo.open(), Measured(old, {U1: 3}), tip) is None


def test_sizes_that_cannot_have_been_are_not_gone_on_with(repo: Repo) -> None:
    old = repo.commit({K_LOG: PRESENT % U1})
    tip = ObjectId(repo.commit({K_LOG: b"2000s 0 %b\n" % U1}))
    wrong = Measured(ObjectId(old), {U1: 2})
    assert advance(repo.open(), wrong, tip) is None


def test_an_object_that_is_lost_is_told(repo: Repo) -> None:
    old = measured(repo, {b"uuid.log": b""})
    tip = repo.commit({K_LOG: PRESENT % U1})
    [blob] = [
        line.split()[2].decode()
        for line in repo.git("ls-tree", "-r", tip).splitlines()
        if K_LOG in line
    ]
    (repo.path / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(BranchUnreadable, match=blob):
        measure(repo.open())
    assert advance(repo.open(), old, ObjectId(tip)) is None


# -- the journal -------------------------------------------------------------------------------


def test_the_journal_counts_as_what_it_changes(repo: Repo) -> None:
    tip = repo.commit({K_LOG: PRESENT % U1, b"uuid.log": b"%b a timestamp=1s\n" % U1})
    repo.put_journal(journal_name(K_LOG), PRESENT % U1 + b"2000s 1 %b\n" % U2)
    repo.put_journal(journal_name(BIG), PRESENT % U1)
    repo.put_journal(b"uuid.log", b"%b new timestamp=1s\n" % U3)
    repo.put_journal(b"trust.log", b"%b X timestamp=1s\n" % U1)
    assert adds(repo, tip) == {U1: 1000, U2: 3, U3: 0}
    assert adds(repo) == {U1: 1003, U2: 3, U3: 0}
    repo.put_journal(journal_name(K_LOG), b"2000s 0 %b\n" % U1)
    assert adds(repo, tip) == {U1: 1000 - 3, U3: 0}


def test_what_was_committed_meanwhile_counts_once(repo: Repo) -> None:
    """The difference is to the commit that is told, not to what the branch is by now."""
    old = repo.commit({b"uuid.log": b""})
    tip = repo.commit({K_LOG: PRESENT % U1})
    repo.put_journal(journal_name(K_LOG), PRESENT % U1)
    assert adds(repo, tip) == {}
    assert adds(repo, old) == {U1: 3}


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(10))
def test_branch_and_journal_together_are_what_is_known(repo: Repo, seed: int) -> None:
    dice = random.Random(seed)
    files = branch_files(dice)
    found = measured(repo, files)
    known = dict(files)
    for path in dice.sample(sorted(files), len(files) // 2):
        text = b"" if path == b"uuid.log" else log_text(dice)
        complete = text[: text.rfind(b"\n") + 1]
        location = path.count(b"/") == 2
        known[path] = join(files[path], complete, location=location)
        repo.put_journal(journal_name(path), text)
    more = adds(repo, found.commit)
    total = {u: found.sizes.get(u, 0) + more.get(u, 0) for u in {*found.sizes, *more}}
    expected = plainly(known)
    assert {u: n for u, n in total.items() if n or u in expected} == expected


def test_private_repositories_are_in_the_private_journal(repo: Repo) -> None:
    tip = repo.commit({K_LOG: PRESENT % U2})
    private = repo.annex_dir / "journal-private"
    private.mkdir(parents=True)
    name = journal_name(K_LOG).decode()
    (private / name).write_bytes(PRESENT % U1 + PRESENT % U2)
    assert adds(repo, tip) == {}
    repo.git("config", "annex.private", "true")
    assert adds(repo, tip) == {U1: 3}
