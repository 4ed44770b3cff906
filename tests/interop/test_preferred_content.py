"""Who wants what: git-annex and we answer the same, in generated repositories.

A case is one node of one generated repository, asked with one run of `git annex find`
either what it wants to get or what it could drop; all files of the repository are answered
at once, and all answers are compared. ``ANNEXSHELL_WANTED_CASES`` is how many there are.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from annexshell.logs.location import location_path
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from tests.support.client import Client
from tests.support.preferred import (
    HERE,
    Answers,
    Line,
    Question,
    Reference,
    Scenario,
    ask_both,
    shrunk,
)
from tests.support.preferred_scenarios import questions, scenario
from tests.support.process import ProgramFailed
from tests.support.vectors import vectors
from tests.support.world import World

CASES = int(os.environ.get("ANNEXSHELL_WANTED_CASES", "500"))
#: Each share is a test of its own, so that several processors can take some.
SHARE = 50
#: No share comes near the repositories of the next one.
STRIDE = 1000


@pytest.fixture(scope="module")
def reference(world: World, current: Client) -> Reference:
    return Reference.create(world.place / "preferred", world.env(current.bin))


@pytest.mark.parametrize("share", range(-(-CASES // SHARE)))
def test_generated_repositories(reference: Reference, place: Path, share: int) -> None:
    asked = 0
    for seed in itertools.count(share * STRIDE):
        made = scenario(seed)
        cases = questions(made)[: SHARE - asked]
        for found in ask_both(reference, made, cases, place / "repo"):
            assert found.agree, report(reference, made, found, place / "again", seed)
        asked += len(cases)
        if asked == SHARE:
            break


def report(
    reference: Reference, made: Scenario, found: Answers, place: Path, seed: int
) -> str:
    """The smallest repository that we found in which both still differ."""

    def fails(candidate: Scenario) -> bool:
        try:
            (again,) = ask_both(reference, candidate, [found.question], place)
        except ProgramFailed:  # of git, where what was left out was needed
            return False
        return not again.agree

    least = shrunk(made, fails) if fails(made) else made
    (last,) = ask_both(reference, least, [found.question], place, keep=True)
    explained = reference.explanation(least, found.question, place)
    return f"repository {seed}\n{least}\n{last}\n{explained}"


# -- what git-annex was seen to answer, which shows that this runs and reads it right -----

NODES = tuple(UUID(b"0a11cc2e-0000-4000-8000-%012d" % n) for n in range(1, 6))


def described(*more: Line) -> tuple[Line, ...]:
    lines = [(b"uuid.log", node + b" node timestamp=1s") for node in (HERE, *NODES)]
    return (*lines, *more)


def test_seen_location_terms(reference: Reference, place: Path) -> None:
    seen = vectors("location_terms")
    keys = {
        name: Key(b"WORM", name.encode(), size=None if name == "unk" else 100)
        for name in seen["locations"]
    }
    lines = [
        (location_path(keys[name]), b"1s 1 " + NODES[number - 1])
        for name, numbers in seen["locations"].items()
        for number in numbers
    ]
    for number, groups in seen["groups"].items():
        value = " ".join(groups).encode()
        lines.append((b"group.log", b"%b %b timestamp=1s" % (node(number), value)))
    levels = {"untrusted": b"0", "trusted": b"1", "dead": b"X"}
    for number, level in seen["trust"].items():
        value = levels[level]
        lines.append((b"trust.log", b"%b %b timestamp=1s" % (node(number), value)))
    files = tuple((name.encode(), key) for name, key in keys.items())
    for text, numcopies, wanted, unwanted in seen["rows"][::5]:
        if unwanted is None:
            continue
        more = [
            (b"numcopies.log", b"1s %d" % numcopies),
            (
                b"preferred-content.log",
                b"%b %b timestamp=1s" % (NODES[0], text.encode()),
            ),
        ]
        made = Scenario(described(*lines, *more), files=files)
        cases = [Question(NODES[0], drop) for drop in (False, True)]
        get, drop = ask_both(reference, made, cases, place / "repo")
        assert get.agree and drop.agree, (text, get, drop)
        assert get.theirs == names(wanted), text
        assert drop.theirs == names(unwanted), text


def node(number: str) -> UUID:
    return NODES[int(number) - 1]


def names(files: Sequence[str]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in files)
