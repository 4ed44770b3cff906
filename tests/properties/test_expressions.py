"""Laws of preferred content expressions (spec 04 §2, §3.2)."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from hypothesis import example, given
from hypothesis import strategies as st

from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID
from annexshell.wanted.evaluate import evaluate, explain
from annexshell.wanted.facts import Configuration, Question
from annexshell.wanted.parse import parse
from annexshell.wanted.preferences import Preferences
from tests.support.facts import KEY, ME, GivenFacts, wants

WORDS = st.lists(
    st.sampled_from(["anything", "nothing", "and", "or", "not", "(", "(", ")", ")"]),
    max_size=24,
)
UUIDS = [ME, *(UUID(b"%08d-0000-4000-8000-000000000002" % n) for n in range(3))]
TERMS = [
    *("anything", "nothing", "present", "include=*.x", "exclude=a", "copies=2"),
    *("copies=G:1", "copies=trusted+:1", "lackingcopies=1", "approxlackingcopies=G:1"),
    *("inallgroup=G", "onlyingroup=G", "balanced=G:2", "fullysizebalanced=G"),
    *("metadata=a=b", "url=*", "largerthan=5", "unused", "standard", "groupwanted"),
    *("and", "or", "not", "(", ")", "bogus", "copies=x", "url=["),
]
TEXTS = st.lists(st.sampled_from(TERMS), max_size=12).map(" ".join)
SOUND = st.lists(st.sampled_from(TERMS[:-3]), max_size=12).map(" ".join)
HOLDERS = st.frozensets(st.sampled_from(UUIDS))


class _Reference:
    """The grammar as the spec tells it, recursive; True and False for terms."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def next(self) -> str | None:
        return self.words.pop(0) if self.words else None

    def fold(self, value: bool, depth: int) -> bool:
        while (word := self.next()) is not None:
            if word == ")":
                if depth:
                    return value
            elif word == "(" and depth:
                value = self.fold(value, depth + 1)
            elif word == "(":
                group = self.fold(True, depth + 1)
                value = value and group
            else:
                value = self.keyword(word, value, depth)
        return value

    def keyword(self, word: str, value: bool, depth: int) -> bool:
        if word in ("and", "or", "not"):
            unit = self.unit(depth)
            if word == "or":
                return value or unit
            return value and (unit if word == "and" else not unit)
        return value and word == "anything"

    def unit(self, depth: int) -> bool:
        if self.words and self.words[0] == ")":
            if depth:
                return True
            while self.words and self.words[0] == ")":
                self.next()
        word = self.next()
        if word is None:
            return True
        if word == "(":
            return self.fold(True, depth + 1)
        return self.keyword(word, True, depth)


@given(WORDS)
@example("( nothing ( nothing or anything ) )".split())
@example("nothing or ) nothing".split())
def test_the_fold_is_the_one_of_the_spec(words: list[str]) -> None:
    text = " ".join(words)
    expected = _Reference([*words]).fold(True, 0)
    assert (parse(text).says_nothing or wants(text)) is expected


def _trees(told: object) -> Iterator[dict[str, object]]:
    waiting = [told]
    while waiting:
        node = waiting.pop()
        assert isinstance(node, dict)
        yield node
        waiting += node.get("children", ())


@given(TEXTS, TEXTS, SOUND, HOLDERS, HOLDERS, st.sampled_from(["a", "b.x", None]))
def test_an_explanation_comes_to_the_same_answer(
    preferred: str,
    required: str,
    group: str,
    holders: frozenset[UUID],
    absent: frozenset[UUID],
    file: str | None,
) -> None:
    configuration = Configuration(
        preferred={ME: preferred},
        required={ME: required},
        group_preferred={"G": group},
        groups={
            **dict.fromkeys(UUIDS[1:], frozenset("G")),
            ME: frozenset(["G", "manual"]),
        },
        trust={UUIDS[1]: Trust.TRUSTED, UUIDS[2]: Trust.DEAD},
        maxsize=dict.fromkeys(UUIDS[:2], 150),
    )
    facts = GivenFacts(file=file, held_by=holders, repo_sizes=dict.fromkeys(UUIDS, 60))
    question = Question(ME, facts, configuration, absent=absent)
    compiled = Preferences(configuration).preferred(ME)
    answer = evaluate(compiled, question)
    told = explain(compiled, question)
    assert told.wanted is answer.wanted
    if told.root is not None and not told.unstable:
        assert told.root.value is answer.wanted
    nodes = list(told.walk())
    assert sum(n.decided for _, n in nodes) >= bool(told.decided)
    if told.root is not None:
        decided = [
            n["term"] for n in _trees(told.as_json()["expression"]) if "decided" in n
        ]
        assert sorted(map(str, decided)) == sorted(told.decided)


@given(st.text(max_size=40), TEXTS, st.text(max_size=40))
@example("\udcff", "copies=", "\x00")
def test_any_text_can_be_parsed(before: str, middle: str, after: str) -> None:
    text = before + middle + after
    parsed = parse(text)
    for problem in parsed.problems:
        assert 0 <= problem.offset < problem.offset + problem.length <= len(text)
        shown, mark = problem.caret(text).split("\n")
        assert len(mark) <= len(shown)
        assert shown.replace("\u3000", " ").isprintable()
    wants(text)


@given(SOUND, HOLDERS)
def test_nothing_is_asked_twice(text: str, holders: frozenset[UUID]) -> None:
    facts = GivenFacts(key=attrs.evolve(KEY, size=3), held_by=holders)
    configuration = Configuration(
        preferred={ME: text},
        groups=dict.fromkeys(UUIDS, frozenset("G")),
        maxsize=dict.fromkeys(UUIDS, 9),
    )
    question = Question(ME, facts, configuration)
    evaluate(Preferences(configuration).preferred(ME), question)
    once = [name for name in facts.asked if name not in ("metadata", "urls", "unused")]
    assert len(once) == len(set(once))
    for name, words in NEEDS.items():
        assert name not in facts.asked or any(word in text for word in words)


NEEDS = {
    "metadata": ["metadata="],
    "urls": ["url="],
    "numcopies": ["lackingcopies="],
    "sizes": ["balanced="],
    "holders": ["copies=", "group=", "present", "balanced=", "standard", "groupwanted"],
}
