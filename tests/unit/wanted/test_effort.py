"""What whoever pushes can have us do is bounded (spec 04 §3)."""

from __future__ import annotations

import pytest

from annexshell.model.ids import UUID
from annexshell.wanted.effort import Effort, TooMuchWork
from annexshell.wanted.evaluate import evaluate
from annexshell.wanted.evidence import Known
from annexshell.wanted.facts import Configuration, Question
from annexshell.wanted.globs import compile_glob
from annexshell.wanted.preferences import Preferences
from tests.support.facts import ME, GivenFacts

MANY = [UUID(b"%08d-0000-4000-8000-000000000002" % n) for n in range(2000)]
URLS = frozenset(f"http://{n}/" for n in range(2000))
HOSTILE = GivenFacts(
    file="a" * 5000, held_by=MANY, recorded_urls=URLS, fields={"a": URLS}
)


def _wants(text: str, facts: GivenFacts, most: int) -> bool:
    configuration = Configuration(
        preferred={ME: text}, groups=dict.fromkeys([ME, *MANY], frozenset("g"))
    )
    compiled = Preferences(configuration).preferred(ME)
    effort = Known(facts, configuration, Effort(most))
    return evaluate(compiled, Question(ME, facts, configuration), effort).wanted


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("term", "operator"),
    [
        *(("include=*#*", "or"), ("exclude=*[b-c]#*", "and"), ("url=*#", "or")),
        *(("metadata=a=*#", "or"), ("metadata=a<#", "or"), ("onlyingroup=g", "and")),
        *(("inallgroup=g", "or"), ("anything", "and")),
    ],
)
def test_many_terms_over_large_facts(term: str, operator: str) -> None:
    """Without a limit each costs as much as the one before."""
    terms = [term.replace("#", str(n)) for n in range(60)]
    one, all_of_them = terms[0], f" {operator} ".join(terms)
    most = 1000 if term == "anything" else 1_000_000
    assert _wants(one, HOSTILE, most) is (operator == "and")
    assert _wants(all_of_them, HOSTILE, 10**9) is (operator == "and")
    with pytest.raises(TooMuchWork):
        _wants(all_of_them, HOSTILE, most)


@pytest.mark.parametrize(
    "term",
    [
        "copies=g:90#",
        "lackingcopies=g:9#",
        "copies=g+h-i=9#",
        "copies=trusted+:9#",
        "copies=9#",
    ],
)
def test_who_is_in_a_group_is_counted_once(term: str) -> None:
    text = " or ".join(term.replace("#", str(n) * 4) for n in range(1, 400))
    assert not _wants(text, HOSTILE, 400_000)


def test_once_too_much_always_too_much() -> None:
    effort = Effort(10)
    effort.spend(10)
    for _ in range(2):
        with pytest.raises(TooMuchWork):
            effort.spend(1)


def test_usual_configurations_are_far_from_it() -> None:
    facts = GivenFacts(file="some/where/" * 10 + "x.mp3", held_by=MANY[:10])
    text = " or ".join(f"include=dir{n}/*.jpg" for n in range(50))
    assert not _wants(f"{text} or copies=g:20 or url=*.org*", facts, 10_000_000)


@pytest.mark.parametrize(
    "glob",
    ["*a*b*[x-z]", "*[!a]b'*", "*" + "[\u0100-\uffff]" * 300, "a" * 50 + "*'"],
)
def test_the_work_of_a_glob_grows_with_both(glob: str) -> None:
    found = compile_glob(glob, path=True, ignore_case=True)
    assert found is not None
    found.matches("a")
    assert found.work("a" * 20_000) > found.work("a" * 1000) >= 100
