"""Sizes that follow the branch are those that measuring it anew gives."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annexshell.repository.git import ObjectId
from annexshell.repository.sizing import Measured, advance, measure
from tests.support.branches import import_commit
from tests.support.repositories import BRANCH, Repo, plain_repo
from tests.support.sized import branch_files, plainly

SEEDS = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return plain_repo(tmp_path_factory.mktemp("sizing") / "repo")


def committed(repo: Repo, files: dict[bytes, bytes]) -> Measured:
    tip = import_commit(repo, BRANCH, files, None)
    found = measure(repo.open())
    assert found == Measured(ObjectId(tip), plainly(files))
    return found


@settings(max_examples=12)
@given(SEEDS, SEEDS)
def test_what_is_measured_can_be_advanced(repo: Repo, one: int, other: int) -> None:
    old = committed(repo, branch_files(random.Random(one)))
    changed = branch_files(random.Random(one)) | branch_files(random.Random(other))
    new = committed(repo, changed)
    opened = repo.open()
    assert new.commit is not None and old.commit is not None
    assert advance(opened, old, new.commit) == new
    assert advance(opened, new, old.commit) == old
