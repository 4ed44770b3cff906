"""Words, units and groups of expressions (spec 04 §3.1, §3.2, §3.9)."""

from __future__ import annotations

import pytest

from annexshell.wanted.caret import caret
from annexshell.wanted.expression import Operator, Term
from annexshell.wanted.parse import LONGEST, Problem, messages, parse
from tests.support.facts import wants
from tests.support.rows import each


def _shape(text: str) -> list[str]:
    """The steps, operands first."""
    return [
        step.what.text if isinstance(step.what, Term) else step.what.value
        for step in parse(text).expression.steps
    ]


@each([*"\t\n\v\f\r \u00a0\u1680\u2000\u200a\u202f\u205f\u3000"])
def test_white_space_splits(space: str) -> None:
    assert _shape(f"anything{space}nothing") == ["anything", "nothing", "and"]


@pytest.mark.parametrize("char", [*"\x85\u2028\x1c\u180e\u200b\udce9"], ids=ascii)
def test_what_only_looks_like_white_space_does_not_split(char: str) -> None:
    (problem,) = parse(f"anything{char}nothing").problems
    assert problem == Problem(0, 16, f'near "anything{char}nothing"')


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("a=1", ["present"]),
        ("include=a=b", ["include=a=b"]),
        ("include", ["include"]),
        ("not present", ["present", "not"]),
        ("present not unused", ["present", "unused", "not", "and"]),
        ("or present", ["()", "present", "or"]),
        ("present or", ["present", "()", "or"]),
        ("(present (unused or standard))", [*"present unused and standard or".split()]),
        ("present (unused or standard)", [*"present unused standard or and".split()]),
    ],
)
def test_shapes(text: str, shape: list[str]) -> None:
    assert _shape(text) == shape


def test_steps_know_where_they_stand() -> None:
    text = "present or not(unused"
    steps = parse(text).expression.steps
    found = [text[step.offset : step.offset + step.length] for step in steps]
    assert found == ["present", "unused", "not", "or"]


def test_one_term_is_made_once() -> None:
    expression = parse("present or (present and present)").expression
    assert len(expression.terms) == 1


@pytest.mark.parametrize("text", ["", "  ", "()", "()()", "and", "() and ()", ")"])
def test_nothing_said(text: str) -> None:
    assert parse(text).says_nothing


@pytest.mark.parametrize("text", ["or", "not not ()", "() or ()", "(() or)"])
def test_nothing_or_nothing_is_everything(text: str) -> None:
    """As git-annex has it: these are true where the default is false."""
    assert not parse(text).says_nothing
    assert wants(text)


def test_problems_say_where() -> None:
    text = "present or (bogus and copies=x)"
    parsed = parse(text)
    assert [text[p.offset : p.offset + p.length] for p in parsed.problems] == [
        "bogus",
        "copies=x",
    ]
    expected = 'Parse failure: near "bogus" Parse failure: bad number for copies'
    assert messages(parsed.problems) == expected


def test_what_cannot_be_understood_counts_as_present() -> None:
    assert [s.what for s in parse("anything or bogus").expression.steps] == [
        s.what for s in parse("not bogus").expression.steps
    ]
    assert _shape("anything or bogus") == ["present"]


@pytest.mark.parametrize(
    "text",
    ["include=foo[", "exclude=[b-a]", "url=[", "metadata=a=[", "present or url=["],
)
def test_a_glob_that_cannot_be_compiled(text: str) -> None:
    """It kills git-annex's gateway for everybody (spec 04 §3.4)."""
    (problem,) = parse(text).problems
    assert problem.message.startswith("glob that cannot be compiled")
    assert _shape(text) == ["present"]


def test_the_mark_is_under_the_word() -> None:
    text = "present or bogus"
    (problem,) = parse(text).problems
    assert problem.caret(text) == "present or bogus\n           ^~~~~"


def test_long_texts_are_cut_around_the_mark() -> None:
    text = "present or " * 100 + "bogus" + " or present" * 100
    shown, mark = parse(text).problems[0].caret(text).split("\n")
    assert len(shown) < 80
    assert shown.startswith("...") and shown.endswith("...")
    assert shown[mark.index("^") : len(mark)] == "bogus"


def test_a_word_longer_than_the_line() -> None:
    shown, mark = caret("x" * 1000, 0, 1000).split("\n")
    assert shown == "x" * 72 + "..."
    assert mark == "^" + "~" * 71


def test_a_terminal_obeys_nothing_of_the_text() -> None:
    text = "a\x1b[2J\n\t\u202e\udcff bogus"
    shown, mark = caret(text, 10, 5).split("\n")
    assert shown == "a?[2J  ?? bogus"
    assert mark == " " * 10 + "^~~~~"


def test_operators_are_written_as_they_are_read() -> None:
    assert [o.value for o in (Operator.NOT, Operator.AND, Operator.OR)] == [
        "not",
        "and",
        "or",
    ]


DEEP = 10_000


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("not " * DEEP + "anything", True),
        ("(" * DEEP + "nothing" + ")" * DEEP, False),
        ("(not " * (DEEP + 1) + "anything", False),
        ("nothing or (" * DEEP + "anything", True),
        ("(" * 100_000, False),
        ("or " * 30_000, True),
        ("anything and " * 20_000 + "nothing", False),
        ("bogus " * 30_000, False),
    ],
    ids=["nots", "groups", "nots in groups", "ors", "open", "or", "ands", "bogus"],
)
def test_depth_and_length_do_no_harm(text: str, wanted: bool) -> None:
    assert wants(text) is wanted


def test_what_is_too_long_is_not_read() -> None:
    """Each session would take seconds for it; no command can set it."""
    text = "anything or " * 11_000
    (problem,) = parse(text).problems
    assert problem.offset == LONGEST == 131_072
    assert "longer than 131072 characters" in str(problem)
    assert problem.caret(text).endswith("^")
    assert not parse(text[:LONGEST].rstrip(" or")).problems
    assert not parse(text, longest=len(text)).problems
