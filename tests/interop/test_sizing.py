"""What repositories hold, as git-annex counts it (spec 04 §8)."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from annexshell.model.ids import UUID
from annexshell.repository.branch import Branch
from annexshell.repository.sizing import measure, waiting
from tests.support.branches import import_commit
from tests.support.repositories import BRANCH, U1, U2, U3, Repo, annex_repo
from tests.support.sized import KEYS, U4, branch_files

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-annex") is None, reason="git-annex is not in PATH"
    ),
]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return annex_repo(tmp_path / "repo", bare=True)


def counted(repo: Repo) -> dict[UUID, int]:
    """What git-annex stores as the sizes by the branch, that is not 0."""
    shutil.rmtree(repo.annex_dir / "reposize", ignore_errors=True)
    repo.forget_index()
    repo.annex("maxsize")
    with closing(sqlite3.connect(repo.annex_dir / "reposize/db/db")) as database:
        [(commit,)] = database.execute('SELECT "commit" FROM annex_branch')
        assert commit == repo.tip()
        found = dict(database.execute("SELECT repo, size FROM repo_sizes"))
    return {UUID(uuid): int(size) for uuid, size in found.items() if int(size)}


@pytest.mark.parametrize("seed", range(4))
def test_the_branch_is_measured_alike(repo: Repo, seed: int) -> None:
    files = branch_files(random.Random(seed))
    own = repo.show(b"uuid.log") or b""
    import_commit(repo, BRANCH, files | {b"uuid.log": own}, repo.tip())
    found = measure(repo.open())
    assert {u: n for u, n in found.sizes.items() if n} == counted(repo)
    assert found.sizes[repo.uuid] == 0


def test_what_waits_in_the_journal_is_counted_alike(repo: Repo) -> None:
    dice = random.Random(5)
    changes = [
        (dice.choice(KEYS[:14]), dice.choice((U1, U2, U3, U4))) for _ in range(40)
    ]
    for number, (key, uuid) in enumerate(changes):
        if number == 20:
            repo.git("config", "annex.alwayscommit", "false")
        words = (key.text.decode(), uuid.decode(), str(int(dice.random() < 0.7)))
        repo.annex("setpresentkey", *words)
    assert len(repo.journal()) > 5
    opened = repo.open()
    base = measure(opened)
    more = waiting(opened, Branch(opened), base.commit)
    assert any(more.values())
    total = {u: base.sizes.get(u, 0) + more.get(u, 0) for u in {*base.sizes, *more}}
    assert {u: n for u, n in total.items() if n} == shown(repo)


def shown(repo: Repo) -> dict[UUID, int]:
    """git-annex's table, the journal included."""
    rows = [row.split() for row in repo.annex("maxsize", "--bytes").splitlines()[1:]]
    return {UUID(row[1]): int(row[0]) for row in rows if row and int(row[0])}
