"""Expressions that say something else than they seem to."""

from __future__ import annotations

import pytest

from annexshell.admin.linting import named_groups, oddities
from tests.support.rows import each_of

T, F = "anything", "nothing"


@each_of(
    [
        ("", []),
        ("include=* and not present", []),
        ("include=a or include=b", []),
        ("present and include=b or include=c", []),
        (f"{T} or {F} and {F}", ["and-after-or"]),
        (f"{T} or {F} {F}", ["and-after-or"]),
        (f"{T} or ({F} and {F})", []),
        (f"({T} or {F}) and {F}", []),
        (f"{T} or not {F} and {F}", ["and-after-or"]),
        (f"{T} or not ({F} and {F})", []),
        (f"{F} ({T} or {T})", []),
        (f"({F} ({F} or {T}))", ["group-in-group"]),
        (f"({F} and ({F} or {T}))", []),
        (f"(({F}) ({F} or {T}))", ["group-in-group"]),
        (f"( {F} or ({T}", ["parentheses"]),
        (f"{F} )", ["parentheses"]),
        (f"({F}) )(", ["parentheses"]),
        ("include=it's", ["zero-width"]),
        ("metadata=tag=a<b", ["zero-width"]),
        ("metadata=pages>=100", []),
        ("copies=it's:1", []),
    ],
)
def test_what_may_not_be_meant(text: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in oddities(text)] == kinds


def test_groups_that_terms_name() -> None:
    terms = [
        *("copies=2", "copies=A:2", "copies=trusted+:1", "lackingcopies=dead:1"),
        *("inallgroup=B", "onlyingroup=trusted", "balanced=C", "sizebalanced=D:2"),
        *("fullysizebalanced=E:lackingcopies", "include=copies=X:1", "present"),
    ]
    found = list(named_groups(terms))
    assert [n.group for n in found] == ["A", "dead", "B", "trusted", "C", "D", "E"]
    assert [n.group for n in found if n.balanced] == ["C", "D", "E"]
    assert [n.group for n in found if n.by_size] == ["D", "E"]


@pytest.mark.parametrize("text", ["(" * 100_000, ")" * 100_000, "not " * 50_000])
def test_texts_of_any_depth(text: str) -> None:
    assert len(oddities(text)) <= 2
