"""Why a repository wants a key, as a tree (spec 04 §5)."""

from __future__ import annotations

import json

import attrs
import pytest

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.wanted.evaluate import explain
from annexshell.wanted.explanation import DEEPEST, Explanation
from annexshell.wanted.facts import Configuration, Question
from annexshell.wanted.preferences import Preferences
from tests.support.facts import ME, GivenFacts

OTHER = UUID(b"5b22dd3f-0000-4000-8000-000000000002")
_ENOUGH = "there are enough copies"


def _told(configuration: Configuration, facts: GivenFacts | None = None) -> Explanation:
    question = Question(ME, facts or GivenFacts(), configuration)
    return explain(Preferences(configuration).preferred(ME), question)


def _lines(explanation: Explanation) -> list[str]:
    marks = {True: "T", False: "F", None: "-"}
    return [
        f"{' ' * depth}{marks[node.value]} {node.text}"
        + (f" [{node.why}]" if node.why else "")
        + (" <" if node.decided else "")
        for depth, node in explanation.walk()
    ]


def test_a_tree_with_values() -> None:
    text = "not copies=2 and (unused or include=*.x or present) and anything"
    told = _told(Configuration(preferred={ME: text}))
    assert not told.wanted
    assert _lines(told) == [
        "F and",
        " T not",
        "  F copies=2 [0 copies]",
        " F or",
        "  F unused",
        "  F include=*.x",
        "  F present <",
        " - anything",
    ]
    assert told.decided == ("present",)


def test_what_terms_stand_for() -> None:
    told = _told(
        Configuration(
            preferred={ME: "nothing or groupwanted or standard"},
            groups={ME: frozenset(["A", "source"])},
            group_preferred={"A": "standard or groupwanted"},
        ),
        GivenFacts(held_by=[OTHER]),
    )
    assert not told.wanted
    assert _lines(told) == [
        "F or",
        " F nothing",
        " F groupwanted",
        "  F or",
        "   F standard",
        "    F not",
        "     T copies=1 [1 copy] <",
        "   F groupwanted [nothing to stand for, so present]",
        " F standard [as above] <",
    ]
    assert told.decided == ("standard", "copies=1")


def test_preferred_and_required_content() -> None:
    told = _told(
        Configuration(preferred={ME: "nothing"}, required={ME: "anything or unused"})
    )
    assert _lines(told) == [
        "T required",
        " F nothing",
        " T or",
        "  T anything <",
        "  - unused",
    ]


def test_reasons() -> None:
    text = (
        "nothing or largerthan=1kb or lackingcopies=2 or inallgroup=G or onlyingroup=G"
        " or fullybalanced=H or fullybalanced=G"
    )
    told = _told(
        Configuration(
            preferred={ME: text},
            groups={ME: frozenset("G"), OTHER: frozenset("GH")},
            maxsize={ME: 5},
        ),
        GivenFacts(repo_sizes={ME: 1}),
    )
    assert [line.partition(" ")[2] for line in _lines(told)[1:]] == [
        "F nothing",
        "F largerthan=1kb [100 bytes]",
        "F lackingcopies=2 [0 copies of 1 wanted]",
        "F inallgroup=G [0 of 2 have it]",
        "F onlyingroup=G [0 of 0 are in it]",
        "F fullybalanced=H [not in the group]",
        f"F fullybalanced=G [picked {OTHER.decode()} of 2] <",
    ]


def _why(text: str, configuration: Configuration, facts: GivenFacts) -> str:
    """The reason of the one term."""
    told = _told(attrs.evolve(configuration, preferred={ME: text}), facts)
    assert told.root is not None
    return told.root.why


@pytest.mark.parametrize(
    ("text", "facts", "why"),
    [
        ("balanced=G:0", GivenFacts(held_by=[ME]), "it is present"),
        ("balanced=G", GivenFacts(held_by=[OTHER]), "there are enough copies"),
        ("balanced=G", GivenFacts(key=None), "no key known"),
        ("balanced=G:2", GivenFacts(), f"picked {ME.decode()}, {OTHER.decode()} of 2"),
        ("fullybalanced=G:0", GivenFacts(), "none are to be picked"),
        ("fullysizebalanced=G", GivenFacts(), "picked nobody of 2"),
        ("balanced=G:lackingcopies", GivenFacts(held_by=[OTHER]), _ENOUGH),
        ("largerthan=1", GivenFacts(key=None), "no key known"),
        ("smallerthan=1", GivenFacts(key=Key.parse(b"URL--x")), "the key has no size"),
        ("include=x", GivenFacts(file=None), "no file known"),
        ("inpreferreddir", GivenFacts(file=None), "no file known"),
        ("inpreferreddir", GivenFacts(), "the directory is public"),
    ],
)
def test_reasons_of_single_terms(text: str, facts: GivenFacts, why: str) -> None:
    groups = dict.fromkeys([ME, OTHER], frozenset("G"))
    assert _why(text, Configuration(groups=groups), facts) == why


def test_when_rebalancing_what_is_there_does_not_count() -> None:
    groups = dict.fromkeys([ME, OTHER], frozenset("G"))
    configuration = Configuration(groups=groups, rebalance=True)
    why = _why("balanced=G:2", configuration, GivenFacts(held_by=[OTHER]))
    assert why == f"picked {ME.decode()}, {OTHER.decode()} of 2"


def test_of_many_picks_some_are_named() -> None:
    members = [UUID(b"%036d" % number) for number in range(20)]
    groups = dict.fromkeys([ME, *members], frozenset("G"))
    why = _why("fullybalanced=G:15", Configuration(groups=groups), GivenFacts())
    assert why.startswith("picked ") and why.endswith(", ... of 21")
    assert len(why.split()) == 1 + 8 + 3


def test_without_an_expression() -> None:
    told = _told(Configuration())
    assert told.as_json() == {"wanted": False, "decided": [], "reason": "the default"}
    assert _lines(told) == []


def test_unstable_and_not_understood() -> None:
    told = _told(Configuration(preferred={ME: "include=* or not present"}))
    assert not told.wanted
    assert told.unstable == ("present",)
    assert told.reason == (
        "not stable due to negated use of present, so it matches nothing"
    )
    assert _lines(told)[1] == " T include=* <"
    told = _told(Configuration(preferred={ME: "bogus"}))
    assert told.reason == "it cannot be understood, so it counts as present"
    assert _lines(told) == ["F present <"]


def test_nothing_decides_where_there_is_nothing_to_decide() -> None:
    told = _told(Configuration(preferred={ME: "or nothing"}))
    assert told.wanted
    assert told.decided == ()
    assert _lines(told) == ["T or", " T ()", " - nothing"]


def test_as_json() -> None:
    told = _told(Configuration(preferred={ME: "copies=1 or (not unused)"}))
    assert told.as_json() == {
        "wanted": True,
        "decided": ["unused"],
        "expression": {
            "operator": "or",
            "offset": 9,
            "value": True,
            "children": [
                {"term": "copies=1", "offset": 0, "value": False, "why": "0 copies"},
                {
                    "operator": "not",
                    "offset": 13,
                    "value": True,
                    "children": [
                        {
                            "term": "unused",
                            "offset": 17,
                            "value": False,
                            "decided": True,
                        }
                    ],
                },
            ],
        },
    }


def test_deep_trees_can_be_written() -> None:
    told = _told(Configuration(preferred={ME: "not " * 10_000 + "anything"}))
    assert len(_lines(told)) == 10_001
    text = json.dumps(told.as_json())
    assert text.count('"operator"') == DEEPEST + 1
    assert text.count('"omitted": true') == 1


def test_a_chain_is_one_node() -> None:
    told = _told(Configuration(preferred={ME: "nothing or " * 10_000 + "anything"}))
    assert told.root is not None
    assert len(told.root.children) == 10_001
