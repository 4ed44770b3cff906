"""Dying at any step loses nothing that was acknowledged (spec 03 §8.4, §14 number 7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.logs.location import holders
from annexshell.model.clock import SECOND, Clock
from annexshell.model.ids import UUID
from annexshell.repository.branch import Branch
from annexshell.repository.journal import journal_name
from tests.support.crashing import Acknowledged, crashes
from tests.support.repositories import K_LOG, K, Repo, plain_repo

ORIGIN = "refs/remotes/origin/git-annex"


def _uuid(number: int) -> UUID:
    return UUID(b"%08d-1111-4111-8111-111111111111" % number)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = plain_repo(tmp_path / "repo")
    # What is tested is the order of the steps; the disk does not fail here.
    repo.git("config", "annexshell.fsync", "false")
    return repo


@pytest.mark.parametrize("after", [False, True])
def test_recording(after: bool, repo: Repo) -> None:
    opened = repo.open()
    repo.commit({K_LOG: b"1s 1 %b\n" % _uuid(0)})

    def record(step: int, told: Acknowledged) -> None:
        Branch(opened, Clock(9 * SECOND)).record(K, _uuid(step), True)
        told.add(step)

    safe = {0}
    steps = 0
    for step, told in crashes(record, after=after):
        steps += 1
        safe |= told
        found = Branch(opened).locations(K)
        assert {_uuid(number) for number in safe} <= found
        assert found <= {_uuid(number) for number in range(steps + 1)}
        text = repo.journal().get(journal_name(K_LOG), b"")
        assert text == b"" or holders(text) == found
        assert step != 0 or steps in told
    assert steps > 5


@pytest.mark.parametrize("after", [False, True])
def test_settling(after: bool, repo: Repo) -> None:
    opened = repo.open()
    repo.commit({K_LOG: b"1s 1 %b\n" % _uuid(0)})
    expected = {_uuid(0)}
    steps = 0

    def settle(step: int, told: Acknowledged) -> None:
        Branch(opened).settle()
        told.add(step)

    def prepare(number: int) -> None:
        """News in the journal, on the branch and in a sibling, all about one key."""
        mine, pushed, sibling = (_uuid(3 * number + n) for n in range(3))
        Branch(opened, Clock(9 * SECOND)).record(K, mine, True)
        old = repo.show(K_LOG) or b""
        repo.commit({K_LOG: old + b"5s 1 %b\n" % pushed})
        repo.commit({K_LOG: b"5s 1 %b\n" % sibling}, ref=ORIGIN, parents=())
        expected.update((mine, pushed, sibling))

    prepare(1)
    for step, told in crashes(settle, after=after):
        steps += 1
        visible = Branch(opened).locations(K) | {_uuid(3 * steps + 2)}
        assert visible == expected
        Branch(opened).settle()
        assert repo.journal() == {}
        assert holders(repo.show(K_LOG) or b"") == expected
        assert (step == 0) == (told == {steps})
        if step:
            prepare(steps + 1)
    assert steps > 5
    assert repo.git("fsck", "--strict", "--no-dangling") == b""
