"""What git-annex was seen to answer (spec 04 §3 to §7), answered by us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.wanted.facts import Configuration
from annexshell.wanted.parse import messages, parse
from tests.support.facts import KEY, GivenFacts, answer, wants
from tests.support.rows import each
from tests.support.vectors import vectors

UUIDS = [
    UUID(text.encode())
    for text in (
        "0a11cc2e-0000-4000-8000-000000000001",
        "5b22dd3f-0000-4000-8000-000000000002",
        "9c33ee40-0000-4000-8000-000000000003",
        "c4440051-0000-4000-8000-000000000004",
        "f5551162-0000-4000-8000-000000000005",
    )
]
GRAMMAR = Path(__file__).parents[2] / "data" / "expression_grammar.txt"
WORDS = {"a": "anything", "n": "nothing", "&": "and", "|": "or", "!": "not"}


def _uuids(numbers: list[int]) -> frozenset[UUID]:
    return frozenset(UUIDS[number - 1] for number in numbers)


def _by_number(
    values: Mapping[str, Any], make: Callable[[Any], Any]
) -> dict[UUID, Any]:
    return {UUIDS[int(number) - 1]: make(value) for number, value in values.items()}


def test_random_expressions() -> None:
    lines = [x for x in GRAMMAR.read_text().splitlines() if not x.startswith("#")]
    assert len(lines) > 1500
    for line in lines:
        letters, value = line.split()
        text = " ".join(WORDS.get(letter, letter) for letter in letters)
        parsed = parse(text)
        # matchexpression finds true what says nothing.
        assert (parsed.says_nothing or wants(text)) == (value == "T"), text


@each(vectors("matchexpression")["cases"])
def test_matchexpression(case: dict[str, Any]) -> None:
    text, result = case["expr"], case["result"]
    parsed = parse(text)
    if result == "parse-error":
        assert f"bad expression: {messages(parsed.problems)}" == case["message"]
    elif result == "regex-error":
        (problem,) = parsed.problems
        assert "glob that cannot be compiled" in problem.message
    else:
        # To matchexpression everything that asks for a repository's groups is true.
        standard = text in ("standard", "groupwanted")
        facts = GivenFacts(held_by=UUIDS[:1] if standard else ())
        assert parsed.problems == ()
        assert (parsed.says_nothing or wants(text, facts)) is result


@each(vectors("location_terms")["rows"])
def test_locations(row: tuple[str, int, list[str], list[str] | None]) -> None:
    text, numcopies, get, drop = row
    given = vectors("location_terms")
    configuration = Configuration(
        preferred={UUIDS[0]: text},
        groups=_by_number(given["groups"], frozenset),
        trust=_by_number(given["trust"], Trust),
        numcopies=numcopies,
    )
    wanted, unwanted = [], []
    for name, numbers in given["locations"].items():
        key = attrs.evolve(KEY, size=None) if name == "unk" else KEY
        facts = GivenFacts(key=key, file=name, held_by=_uuids(numbers))
        if answer(configuration, facts).wanted:
            wanted.append(name)
        if not answer(configuration, facts, absent=UUIDS[:1]).wanted:
            unwanted.append(name)
    if drop is None:
        assert parse(text).problems
        return
    assert wanted == get
    assert unwanted == drop


@each(vectors("metadata_terms")["rows"])
def test_metadata(row: tuple[str, list[str] | None]) -> None:
    text, matching = row
    if matching is None:
        assert parse(text).problems
        return
    found = [
        name
        for name, settings in vectors("metadata_terms")["metadata"].items()
        if wants(text, GivenFacts(fields=_fields(settings)))
    ]
    assert found == matching


def _fields(settings: list[str]) -> dict[str, frozenset[str]]:
    fields: dict[str, frozenset[str]] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        name = name.removesuffix("+")
        fields[name] = fields.get(name, frozenset()) | {value}
    return fields


@each(vectors("group_expansion")["rows"])
def test_groups(row: tuple[list[str], dict[str, str], str | None, str]) -> None:
    groups, group_preferred, text, kind = row
    configuration = Configuration(
        preferred={} if text is None else {UUIDS[0]: text},
        groups={UUIDS[0]: frozenset(groups)},
        group_preferred=group_preferred,
    )
    there = answer(configuration, GivenFacts(held_by=UUIDS[:1])).wanted
    absent = answer(configuration, GivenFacts()).wanted
    kinds = {(True, True): "ALL", (False, False): "NONE", (True, False): "PRESENT"}
    assert kinds[(there, absent)] == kind


@pytest.mark.thorough
@each(vectors("balanced_states")["cases"])
def test_balanced(case: dict[str, Any]) -> None:
    configuration = Configuration(
        preferred=dict.fromkeys(UUIDS, case["expr"]),
        groups=dict.fromkeys(UUIDS[:4], frozenset("G")),
        maxsize={u: m for u, m in zip(UUIDS, case["maxsize"]) if m is not None},
        trust={u: Trust(level) for u, level in zip(UUIDS, case["trust"])},
        numcopies=case["numcopies"],
        threshold=case["threshhold"],
        rebalance=case["rebalance"],
    )
    sizes = {u: s for u, s in zip(UUIDS, case["size"]) if s is not None}
    for text, (located, get, drop) in zip(
        vectors("balanced_states")["keys"], case["keys"], strict=True
    ):
        facts = GivenFacts(
            key=Key.parse(text.encode()), held_by=_uuids(located), repo_sizes=sizes
        )
        wanted = {u for u in UUIDS[:4] if answer(configuration, facts, u).wanted}
        kept = {
            u for u in UUIDS[:4] if answer(configuration, facts, u, absent=[u]).wanted
        }
        assert wanted == _uuids(get)
        assert _uuids([1, 2, 3, 4]) - kept == _uuids(drop)
