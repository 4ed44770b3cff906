"""What repositories want by all that is configured (spec 04 §2, §3.9, §4, §5)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from annexshell.model.ids import UUID
from annexshell.wanted.evaluate import evaluate
from annexshell.wanted.facts import Configuration, Question
from annexshell.wanted.parse import parse
from annexshell.wanted.preferences import Compiled, Preferences
from annexshell.wanted.standard import STANDARD
from tests.support.facts import ME, GivenFacts, answer
from tests.support.rows import each_of

OTHER = UUID(b"5b22dd3f-0000-4000-8000-000000000002")


def _compiled(
    preferred: str,
    required: str = "",
    *,
    groups: Mapping[UUID, frozenset[str]] = {},
    group_preferred: Mapping[str, str] = {},
) -> Compiled:
    configuration = Configuration(
        preferred={ME: preferred},
        required={ME: required},
        groups=groups,
        group_preferred=group_preferred,
    )
    found = Preferences(configuration).preferred(ME)
    assert found is not None
    return found


def _in(*groups: str) -> dict[UUID, frozenset[str]]:
    return {ME: frozenset(groups)}


@pytest.mark.parametrize(
    ("preferred", "required", "wanted"),
    [
        ("nothing", "include=foo", True),
        ("include=foo", "nothing", True),
        ("nothing", "nothing", False),
        ("", "include=foo", True),
        ("nothing", " ", False),
        ("nothing", "()", False),
        ("nothing", "or", True),
        ("()", "nothing", False),
        ("anything", "bogus", False),
        ("bogus", "anything", False),
        ("anything", "not present", False),
    ],
)
def test_required_content_is_preferred_too(
    preferred: str, required: str, wanted: bool
) -> None:
    configuration = Configuration(preferred={ME: preferred}, required={ME: required})
    assert answer(configuration, GivenFacts()).wanted is wanted


def test_required_content_alone() -> None:
    configuration = Configuration(
        preferred={ME: "bogus", OTHER: "anything"}, required={ME: "nothing"}
    )
    preferences = Preferences(configuration)
    found = preferences.required(ME)
    assert found is not None and found.problems == ()
    held = GivenFacts(held_by=[ME])
    assert not evaluate(found, Question(ME, held, configuration)).wanted
    assert preferences.required(OTHER) is None


def test_a_bad_requirement_protects_what_is_there() -> None:
    configuration = Configuration(required={ME: "bogus"})
    found = Preferences(configuration).required(ME)
    held = GivenFacts(held_by=[ME])
    assert evaluate(found, Question(ME, held, configuration)).wanted


def test_problems_of_everything_that_is_used() -> None:
    group = {"A": "worse", "B": "unseen"}
    found = _compiled("bad or groupwanted", "worst", group_preferred=group)
    assert [p.message for p in found.problems] == ['near "bad"', 'near "worst"']
    found = _compiled("groupwanted", group_preferred=group, groups=_in("A"))
    assert [p.message for p in found.problems] == ['near "worse"']
    assert _compiled("unused", group_preferred=group, groups=_in("A")).problems == ()


def test_what_was_compiled_is_kept() -> None:
    configuration = Configuration(preferred={ME: "present", OTHER: "present"})
    preferences = Preferences(configuration)
    mine, others = preferences.preferred(ME), preferences.preferred(OTHER)
    assert mine is preferences.preferred(ME)
    assert mine is not None and others is not None
    assert mine.expression is others.expression


@pytest.mark.parametrize("group", STANDARD)
def test_standard_expressions_can_be_parsed(group: str) -> None:
    assert parse(STANDARD[group]).problems == ()
    assert not parse(STANDARD[group]).says_nothing


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("present", False),
        ("fullybalanced=A", True),
        ("nothing and sizebalanced=A", True),
        ("groupwanted", True),
        ("standard", False),
    ],
)
def test_whether_sizes_matter(text: str, uses: bool) -> None:
    group = {"A": "present or balanced=A"}
    groups = _in("A", "backup")
    assert _compiled(text, group_preferred=group, groups=groups).uses_sizes is uses


@each_of(
    [
        ("not present", ("present",)),
        ("not (not present)", ()),
        ("include=* or (not present)", ("present",)),
        ("not not not present", ("present",)),
        ("not balanced=A", ("balanced=A",)),
        ("not fullybalanced=A", ()),
        ("not fullysizebalanced=A", ()),
        ("not (present or balanced=A) and include=*", ("balanced=A", "present")),
        (
            "not present and not balanced=A and not sizebalanced=B and not present",
            ("present", "sizebalanced=B", "balanced=A"),
        ),
        ("not standard", ("standard",)),
        ("standard", ()),
        ("not groupwanted", ("groupwanted",)),
        ("groupwanted", ()),
    ],
)
def test_instability(text: str, unstable: tuple[str, ...]) -> None:
    found = _compiled(
        text, group_preferred={"A": "not present"}, groups=_in("A", "manual")
    )
    assert found.unstable == unstable
    assert bool(found.explain_instability()) is bool(unstable)


def test_preferred_content_is_spoilt_by_unstable_required_content() -> None:
    found = _compiled("not present", "not balanced=Q")
    assert found.unstable == ("balanced=Q", "present")


def test_instability_through_both_expansions() -> None:
    group = {"A": "standard"}
    found = _compiled(
        "not groupwanted", group_preferred=group, groups=_in("A", "manual")
    )
    assert found.unstable == ("groupwanted",)
    found = _compiled(
        "not groupwanted", group_preferred=group, groups=_in("A", "backup")
    )
    assert found.unstable == ()


def test_groupwanted_in_a_group_is_present() -> None:
    group = {"A": "groupwanted"}
    found = _compiled("not groupwanted", groups=_in("A"), group_preferred=group)
    (sentence,) = found.explain_instability()
    assert sentence.startswith("groupwanted, which stands for present, at character 5")


def test_why_it_is_unstable() -> None:
    (sentence,) = _compiled(
        "include=* or not (unused or present)"
    ).explain_instability()
    assert sentence.startswith(
        "present at character 29 is negated by the not at character 14: "
    )
    group = {"A": "include=* or sizebalanced=A"}
    (sentence,) = _compiled(
        "not groupwanted", group_preferred=group, groups=_in("A")
    ).explain_instability()
    assert "which stands for sizebalanced=A, at character 5" in sentence


def test_a_long_expression_is_judged_at_once() -> None:
    group = {"A": "nothing or " * 5000 + "fullybalanced=A"}
    text = "not groupwanted and " * 5000
    assert _compiled(text, groups=_in("A"), group_preferred=group).unstable == ()
    group = {"A": "nothing or " * 5000 + "present"}
    found = _compiled(text, groups=_in("A"), group_preferred=group)
    assert found.unstable == ("groupwanted",)
    assert len(found.explain_instability()) == 5000


def test_an_unstable_expression_matches_nothing() -> None:
    configuration = Configuration(preferred={ME: "anything or not present"})
    facts = GivenFacts()
    assert not answer(configuration, facts, default=True).wanted
    assert facts.asked == []


def test_a_group_can_use_its_expression_a_thousand_times() -> None:
    """Expansion by text would be a thousand times a thousand terms."""
    many = "nothing or " * 5000
    configuration = Configuration(
        preferred={ME: "(groupwanted and nothing) or " * 5000 + "groupwanted"},
        groups=_in("A", "backup"),
        group_preferred={"A": many + "(standard and nothing) or " * 5000 + "copies=1"},
    )
    facts = GivenFacts(held_by=[ME])
    assert answer(configuration, facts).wanted
    assert facts.asked == ["holders"]
