"""Who wants to have, to drop, and must keep (spec 04 §2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.placement.judge import Judge
from annexshell.wanted.facts import Configuration
from annexshell.wanted.preferences import Preferences
from tests.support.repositories import K_LOG, U1, U2, U3, Repo, plain_repo
from tests.unit.placement.looking import facts_of


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = plain_repo(tmp_path / "repo")
    made.commit({K_LOG: b"1s 1 %b\n1s 1 %b\n" % (U2, U3)})
    return made


def _judge(wanted: str, required: str = "") -> Judge:
    configuration = Configuration(preferred={U2: wanted}, required={U2: required})
    return Judge(configuration, Preferences(configuration))


def test_nothing_configured_is_the_callers_default(repo: Repo) -> None:
    judge, facts = _judge(""), facts_of(repo)
    assert judge.wants(U2, facts, default=True)
    assert not judge.wants(U2, facts, default=False)
    assert judge.wants_to_drop(U2, facts)
    assert not judge.wants_to_drop(U2, facts, default=True)


@pytest.mark.parametrize(
    "expression, wants, drops",
    [
        *(("anything", True, False), ("nothing", False, True)),
        # What is assumed to be gone counts as a copy no more, but is still present.
        *(("copies=2", True, True), ("copies=1", True, False)),
        *(("present", True, False), ("not copies=2", False, False)),
    ],
)
def test_a_drop_is_judged_as_if_the_copy_were_gone(
    repo: Repo, expression: str, wants: bool, drops: bool
) -> None:
    judge, facts = _judge(expression), facts_of(repo)
    assert judge.wants(U2, facts, default=True) is wants
    assert judge.wants_to_drop(U2, facts) is drops


def test_what_is_required_is_wanted(repo: Repo) -> None:
    judge = _judge("nothing", "include=req*")
    assert judge.wants(U2, facts_of(repo, file="req1"), default=True)
    assert not judge.wants(U2, facts_of(repo, file="other"), default=True)


def test_the_answer_tells_whether_sizes_chose(repo: Repo) -> None:
    configuration = Configuration(
        preferred={U1: "balanced=g"}, groups={U1: frozenset("g")}
    )
    judge = Judge(configuration, Preferences(configuration))
    answer = judge.answer(U1, facts_of(repo), default=False)
    assert answer.wanted and answer.balanced
    assert not _judge("anything").answer(U2, facts_of(repo), default=False).balanced
