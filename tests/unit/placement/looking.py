"""A gateway's repository whose logs say what a test wants, and whose reads are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from annexshell.model.ids import UUID
from annexshell.placement.facts import BranchFacts
from annexshell.repository.branch import Branch
from annexshell.repository.open import Repository
from annexshell.wanted.facts import Configuration, Facts
from tests.support.repositories import C1, U2, U3, K, Repo


class Counting(Branch):
    """Counts how often each path is read."""

    def __init__(self, repository: Repository) -> None:
        super().__init__(repository)
        self.reads: Counter[bytes] = Counter()

    def read(self, path: bytes) -> bytes:
        self.reads[path] += 1
        return super().read(path)


def pushed(repo: Repo, **texts: str) -> None:
    """Commit logs, each named without its ``.log``, with _ for -."""
    files = {f"{name.replace('_', '-')}.log": text for name, text in texts.items()}
    repo.commit({path.encode(): text.encode() for path, text in files.items()})


def of_uuids(texts: Mapping[UUID, str]) -> str:
    """A log of the old form."""
    return "".join(
        f"{uuid.decode()} {text} timestamp=1s\n" for uuid, text in texts.items()
    )


CLUSTER = f"1s {C1.decode()} {U2.decode()} {U3.decode()}\n"
"""cluster.log with two nodes."""


def facts_of(
    repo: Repo,
    *,
    branch: Branch | None = None,
    file: str | None = None,
    sizes: Mapping[UUID, int] | None = None,
) -> Facts:
    """What is known of the key K."""
    repository = repo.open()
    known = sizes or {}
    return BranchFacts(
        repository,
        branch or Branch(repository),
        Configuration(),
        K,
        file,
        lambda: known,
    )
