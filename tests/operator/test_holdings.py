"""One pass over all location logs says what reading each of them says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from annexshell.errors import BranchUnreadable
from annexshell.logs.location import holders
from annexshell.model.ids import UUID
from annexshell.repository.branch import Branch
from annexshell.repository.holdings import holdings
from annexshell.repository.journal import journal_name
from annexshell.repository.open import Repository
from tests.support.branches import cases, import_commit
from tests.support.operators import GATEWAY, N1, N2, N3, Estate, locations
from tests.support.repositories import BRANCH, K_LOG, K
from tests.support.world import write_program


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate.create(tmp_path)


def opened(estate: Estate) -> tuple[Repository, Branch]:
    gateway = estate.open()
    return gateway.repository, gateway.branch


def found(estate: Estate) -> dict[bytes, frozenset[UUID]]:
    every = list(holdings(*opened(estate)))
    named = {one.name: one.holders for one in every}
    assert len(named) == len(every)
    return named


def test_there_may_be_no_branch_and_no_journal(estate: Estate) -> None:
    assert found(estate) == {}


def test_every_log_is_read_as_by_itself(estate: Estate) -> None:
    files = {path: case.base for path, case in cases(7, 600, 0).items()}
    import_commit(estate.repo, BRANCH, files, None)
    branch = estate.open().branch
    expected = {
        path.split(b"/")[2].removesuffix(b".log"): holders(branch.read(path))
        for path, content in files.items()
        if content is not None and path.count(b"/") == 2 and path.endswith(b".log")
    }
    assert found(estate) == expected
    assert len(expected) > 300 and any(expected.values())


def test_what_waits_in_the_journal_counts_with_the_branch(estate: Estate) -> None:
    estate.record({K_LOG: b"1000s 1 %b\n1000s 1 %b\n" % (N1, N2)})
    estate.repo.put_journal(journal_name(K_LOG), b"2000s 0 %b\n" % N1)
    [other] = locations({b"new": (N3,)})
    estate.repo.put_journal(journal_name(other), b"1000s 1 %b\n" % N3)
    estate.repo.put_journal(b"uuid.log", b"%b x timestamp=1s\n" % N1)
    assert found(estate) == {K.file_name: {N2}, b"WORM-s1--new": {N3}}


def test_a_log_of_any_size_is_not_read_into_memory(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate.record({K_LOG: b"1000s 1 %b\n" % N1})
    monkeypatch.setattr("annexshell.repository.holdings.MAX_LOG", 10)
    with pytest.raises(BranchUnreadable, match=r" has 45 bytes, over 10"):
        found(estate)


def test_a_private_repository_is_only_in_the_private_journal(estate: Estate) -> None:
    estate.repo.git("config", "annex.private", "true")
    private = estate.repo.annex_dir / "journal-private"
    private.mkdir(parents=True)
    (private / journal_name(K_LOG).decode()).write_bytes(b"1000s 1 %b\n" % GATEWAY)
    assert found(estate) == {K.file_name: {GATEWAY}}


def test_a_repository_whose_lines_disagree_is_judged_by_the_newest(
    estate: Estate,
) -> None:
    text = b"1000s 1 %b\n2000s 0 %b\n1000s 1 %b\n1000s X %b\n"
    estate.record({K_LOG: text % (N1, N1, N2, N3)})
    assert found(estate) == {K.file_name: {N2}}


def test_one_level_of_directories(estate: Estate) -> None:
    estate.record({K_LOG: b"1s 1 %b\n" % N1, b"205/WORM--x.log": b"1s 1 %b\n" % N2})
    assert found(estate) == {K.file_name: {N1}}
    estate.repo.git("config", "annex.tune.branchhash1", "true")
    assert found(estate) == {b"WORM--x": {N2}}


def test_a_lost_object_is_no_empty_log(estate: Estate) -> None:
    estate.record(locations({b"a": (N1,), b"b": (N2,)}))
    tree = estate.repo.git("ls-tree", "-r", BRANCH).split()
    blob = tree[2].decode()
    (estate.repo.path / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(BranchUnreadable, match=f"object {blob} is missing"):
        found(estate)


def test_a_lost_tree_is_told_too(estate: Estate) -> None:
    estate.record(locations({b"a": (N1,)}))
    tree = estate.repo.git("ls-tree", BRANCH).split()[2].decode()
    (estate.repo.path / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(BranchUnreadable, match=f"git ls-tree failed.*{tree}"):
        found(estate)


@pytest.mark.parametrize(
    "said", ["", "blob", "head -c 100 /dev/zero", "kill -9 $$", "exec <&-"]
)
def test_git_that_ends_too_early_is_no_shorter_branch(
    estate: Estate, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever exit code it ends with."""
    files = locations({b"%d" % n: (N1,) for n in range(700)})
    import_commit(estate.repo, BRANCH, files, None)
    gateway = estate.open()
    programs = estate.place / "bin"
    programs.mkdir()
    said = 'read id; echo "$id blob 70"; echo abc' if said == "blob" else said
    git = shutil.which("git")
    body = f'case "$*" in *cat-file*) {said or ":"} ;; *) exec {git} "$@" ;; esac'
    write_program(programs / "git", body)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    with pytest.raises(BranchUnreadable):
        list(holdings(gateway.repository, gateway.branch))


def test_reading_may_stop_early(estate: Estate) -> None:
    estate.record(locations({b"%d" % n: (N1,) for n in range(5)}))
    assert next(holdings(*opened(estate))).holders == {N1}
