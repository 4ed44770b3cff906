"""Several sessions that account for the sizes of one repository, and the tables they share."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from annexshell.logs.location import location_path
from annexshell.model.clock import SECOND, Clock
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.branch import Branch
from annexshell.repository.sizes import RepoSizes
from tests.support.repositories import U1, U2, U3, Repo
from tests.support.world import ROOT

TABLES = (
    "repo_sizes",
    "annex_branch",
    "live_size_changes",
    "size_changes",
    "recent_changes",
)
UUIDS = b"".join(b"%b x timestamp=1s\n" % uuid for uuid in (U1, U2, U3))
_CHILD = """
import sys
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.branch import Branch
from annexshell.repository.open import open_repository
from annexshell.repository.sizes import RepoSizes

repository = open_repository(sys.argv[1])
branch = Branch(repository)
sizes = RepoSizes(repository, branch)
for line in sys.stdin:
    word, key, *uuids = line.split()
    uuids = [UUID(uuid.encode()) for uuid in uuids]
    key = Key.parse(key.encode())
    if word == "reserve":
        sizes.add(key, uuids)
    elif word == "record":
        branch.record(key, uuids[0], True)
    elif word == "release":
        sizes.release(key)
    print(branch.accounts.pid, flush=True)
sizes.close()
"""


def key(name: str, size: int = 100) -> Key:
    return Key.parse(f"WORM-s{size}--{name}".encode())


def location(found: Key, *holders: UUID, second: int = 1000) -> dict[bytes, bytes]:
    """The key's location log as a file of the branch."""
    lines = (b"%ds 1 %b\n" % (second, uuid) for uuid in sorted(holders))
    return {location_path(found): b"".join(lines)}


class Party:
    """One session: its branch and its sizes. ``patience`` is for locks and database."""

    def __init__(self, repo: Repo, patience: float = 20.0, second: int = 5000) -> None:
        repository = repo.open()
        self.branch = Branch(repository, Clock(second * SECOND))
        self.branch.accounts.patience = patience
        self.sizes = RepoSizes(repository, self.branch, patience=patience)

    def reserve(self, found: Key, *uuids: UUID) -> None:
        with self.sizes.deciding() as deciding:
            deciding.reserve(found, uuids)

    def store(self, found: Key, uuid: UUID) -> None:
        """What a cluster does with one key, without the content."""
        self.reserve(found, uuid)
        self.branch.record(found, uuid, True)
        self.sizes.release(found)

    def size(self, uuid: UUID = U2) -> int:
        return self.sizes.current()[uuid]

    @property
    def pid(self) -> str:
        return str(self.branch.accounts.pid)


def size_directory(repo: Repo) -> Path:
    return repo.annex_dir / "reposize"


def database(repo: Repo) -> Path:
    return size_directory(repo) / "db" / "db"


def live_file(repo: Repo, pid: str) -> Path:
    return size_directory(repo) / "live" / pid


def sql(repo: Repo, command: str, *values: object) -> list[Any]:
    """Run a command on the database as another process would."""
    with closing(sqlite3.connect(database(repo), timeout=20)) as opened, opened:
        return opened.execute(command, values).fetchall()


def table(repo: Repo, name: str) -> list[Any]:
    """The rows of a table without their numbers."""
    assert name in TABLES
    return sorted(row[1:] for row in sql(repo, f"SELECT * FROM {name}"))


def live(repo: Repo) -> list[tuple[bytes, bytes]]:
    """Repository and key of what is announced."""
    return [row[:2] for row in table(repo, "live_size_changes")]


def announce(repo: Repo, pid: str, found: Key, uuid: UUID, change: int = 1) -> None:
    """The row of a process of git-annex's."""
    sql(
        repo,
        "INSERT INTO live_size_changes (repo, key, changeid, changepid, change)"
        " VALUES (?, ?, '7', ?, ?)",
        uuid,
        found.text,
        pid,
        change,
    )


class Other:
    """Another process of ours, which does what it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def tell(self, word: str, found: Key, uuids: Collection[UUID]) -> str:
        """Have it do something; its number in the database then."""
        assert self.process.stdin is not None and self.process.stdout is not None
        words = (word, found.text.decode(), *(uuid.decode() for uuid in uuids))
        print(*words, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def other_process(repo: Repo) -> Iterator[Other]:
    env = {**repo.environment, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, os.path.realpath(repo.path)],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Other(process)
        finally:
            process.kill()
