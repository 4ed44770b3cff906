"""What is asked for an answer, and what the answer is made of (spec 04 §2)."""

from __future__ import annotations

import attrs
import pytest

from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.wanted.evaluate import Answer, evaluate
from annexshell.wanted.evidence import Known
from annexshell.wanted.facts import Configuration, Question
from annexshell.wanted.parse import parse
from annexshell.wanted.preferences import Preferences
from tests.support.facts import KEY, ME, GivenFacts, answer, wants
from tests.support.rows import each, each_of

OTHER = UUID(b"5b22dd3f-0000-4000-8000-000000000002")
CLUSTER = UUID(b"acaaaaaa-0000-8000-8000-000000000001")
GROUPED = Configuration(groups={ME: frozenset("G"), OTHER: frozenset("G")})


@each_of(
    [
        ("anything", []),
        ("include=*", []),
        ("nothing and copies=1", []),
        ("anything or metadata=a=1", []),
        ("copies=1 or lackingcopies=1", ["holders", "numcopies"]),
        ("copies=5 or copies=1 or onlyingroup=G", ["holders"]),
        ("approxlackingcopies=5", ["holders"]),
        ("metadata=a=1 or metadata=b=1", ["metadata", "metadata"]),
        ("url=*", ["urls"]),
        ("securehash", []),
        ("unused", []),
        ("fullybalanced=G", []),
        ("fullybalanced=H", []),
        ("balanced=G", ["holders"]),
        ("balanced=G:lackingcopies", ["holders", "numcopies"]),
        ("largerthan=1kb", []),
        ("not (inallgroup=G or present)", ["holders"]),
    ],
)
def test_only_what_is_needed_is_asked(text: str, asked: list[str]) -> None:
    facts = GivenFacts()
    answer(attrs.evolve(GROUPED, preferred={ME: text}), facts)
    if text.startswith("not "):
        assert facts.asked == []  # unstable
    else:
        assert facts.asked == asked


def test_sizes_are_asked_where_there_are_limits() -> None:
    limited = attrs.evolve(GROUPED, preferred={ME: "fullybalanced=G"}, maxsize={ME: 9})
    facts = GivenFacts()
    answer(limited, facts)
    assert facts.asked == ["holders", "sizes"]


def test_nothing_configured_is_the_default() -> None:
    for configured in ({}, {ME: ""}, {ME: " () "}):
        configuration = Configuration(preferred=configured)
        for default in (True, False):
            found = answer(configuration, GivenFacts(), default=default)
            assert found == Answer(default)


def test_without_file_and_key_it_is_the_default() -> None:
    configuration = Configuration(preferred={ME: "anything"})
    facts = GivenFacts(key=None, file=None)
    assert not answer(configuration, facts).wanted
    assert answer(configuration, facts, default=True).wanted


@each(
    [
        *(
            "copies=0",
            "lackingcopies=-9",
            "approxlackingcopies=-9",
            "inbackend=SHA256E",
        ),
        *("largerthan=-1", "smallerthan=1tb", "securehash", "metadata=a", "url=*"),
        *("present", "inallgroup=none", "onlyingroup=G", "unused"),
        *("fullybalanced=G", "balanced=G:0"),
    ],
)
def test_terms_that_need_a_key_are_false_without(text: str) -> None:
    facts = GivenFacts(key=None, repository=ME, held_here=True, is_unused=True)
    configuration = attrs.evolve(GROUPED, preferred={ME: text})
    assert not answer(configuration, facts).wanted
    assert "metadata" not in facts.asked


def test_without_a_file() -> None:
    facts = GivenFacts(file=None, attribute=7, is_unused=True)
    assert not wants("include=*", facts)
    assert wants("exclude=*", facts)
    assert not wants("inpreferreddir", facts)
    assert wants("unused", facts)
    assert not wants("lackingcopies=2", facts)
    assert wants("lackingcopies=7", GivenFacts(attribute=7))
    assert not wants("approxlackingcopies=7", GivenFacts(attribute=7))


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("public/f", True),
        ("a/public/f", True),
        ("public/sub/f", False),
        ("public", False),
        ("xpublic/f", False),
    ],
)
def test_preferred_directories(file: str, wanted: bool) -> None:
    assert wants("inpreferreddir", GivenFacts(file=file)) is wanted


def test_preferred_directories_of_special_remotes() -> None:
    configuration = Configuration(
        preferred={ME: "inpreferreddir"}, directories={ME: "out"}
    )
    assert answer(configuration, GivenFacts(file="out/f")).wanted
    assert not answer(configuration, GivenFacts(file="public/f")).wanted


@each_of(
    [
        ("SHA256E-s1--x.y", True),
        ("SHA3_512--x", True),
        ("BLAKE2SP224E--x", True),
        ("BLAKE3_256--x", True),
        ("SKEIN256--x", True),
        ("GITBUNDLE-s1--x-y", True),
        ("SHA1--x", False),
        ("MD5E--x", False),
        ("XXH3--x", False),
        ("WORM--x", False),
        ("GITMANIFEST--x", False),
        ("XFOO--x", False),
        ("VURL--x", True),
    ],
)
def test_secure_hashes(key: str, secure: bool) -> None:
    assert wants("securehash", GivenFacts(key=Key.parse(key.encode()))) is secure


def test_a_vurl_is_as_secure_as_all_that_it_stands_for() -> None:
    vurl, weak = Key.parse(b"VURL--x"), Key.parse(b"MD5--x")
    assert wants("securehash", GivenFacts(key=vurl, same_as=frozenset([KEY])))
    facts = GivenFacts(key=vurl, same_as=frozenset([KEY, weak]))
    assert not wants("securehash", facts)


def test_backends_are_compared_exactly() -> None:
    assert wants("inbackend=SHA256E")
    assert not wants("inbackend=SHA256")
    strange = GivenFacts(key=Key.parse(b"X\xff--x"))
    assert wants("inbackend=X\udcff", strange)


@pytest.mark.parametrize(
    "url", ["http://h/a\\b", ":http://h/a\\b", "yt:http://h/a\\b", "quvi:http://h/a\\b"]
)
def test_urls(url: str) -> None:
    facts = GivenFacts(recorded_urls=frozenset([url, "x:y"]))
    assert wants("url=http://h/a\\b", facts)
    assert not wants("url=http:/h/*", facts)
    assert not wants("url=HTTP:*", facts)


def test_what_is_here_is_looked_up_here() -> None:
    facts = GivenFacts(held_by=[ME], repository=ME, held_here=False)
    assert not wants("present", facts)
    assert facts.asked == ["holds"]
    assert wants("present", GivenFacts(held_by=[ME], repository=OTHER))
    assert wants("present", GivenFacts(repository=ME, held_here=True))


def test_dead_repositories_have_nothing() -> None:
    facts = GivenFacts(held_by=[ME, OTHER])
    configuration = attrs.evolve(GROUPED, trust={ME: Trust.DEAD})
    for text in ("present", "inallgroup=G", "copies=2", "copies=dead:1"):
        dead = attrs.evolve(configuration, preferred={ME: text})
        assert not answer(dead, facts).wanted, text


def test_clusters_are_locations_but_no_copies() -> None:
    configuration = attrs.evolve(GROUPED, clusters={CLUSTER: frozenset([ME])})
    facts = GivenFacts(held_by=[ME])
    for text, wanted in (
        ("onlyingroup=G", False),
        ("copies=2", False),
        ("copies=1", True),
        ("lackingcopies=1", False),
    ):
        found = answer(attrs.evolve(configuration, preferred={ME: text}), facts)
        assert found.wanted is wanted, text
    present = attrs.evolve(configuration, preferred={CLUSTER: "present"})
    assert answer(present, facts, CLUSTER).wanted


@pytest.mark.parametrize("level", [Trust.SEMITRUSTED, Trust.DEAD])
def test_a_cluster_has_room_for_what_a_node_has(level: Trust) -> None:
    full = Configuration(
        preferred={ME: "fullysizebalanced=G", CLUSTER: "fullysizebalanced=G"},
        groups={ME: frozenset("G"), CLUSTER: frozenset("G")},
        maxsize={ME: 1000, CLUSTER: 1},
        clusters={CLUSTER: frozenset([OTHER])},
        trust={CLUSTER: level},
    )
    for held_by, wanting in (([], ME), ([OTHER], CLUSTER)):
        for uuid in (ME, CLUSTER):
            facts = GivenFacts(held_by=held_by)
            assert answer(full, facts, uuid).wanted is (uuid == wanting)


@pytest.mark.parametrize(
    ("chosen", "counted"),
    [
        ("A", "012"),
        ("+A", "012"),
        ("A+B", "0123"),
        ("A-B", "01"),
        ("A--B", "01"),
        ("A+-B", "01"),
        ("A-+B", "0123"),
        ("A-", "012"),
        ("A+", "012"),
        ("A-B-C", "1"),
        ("A-B+C", "014"),
        ("A+B-C", "12"),
        ("A+B+C", "01234"),
        ("-A", "345"),
        ("--A", "345"),
        ("-A-B", "45"),
        ("-+A", "012"),
        ("", "012345"),
        ("-", "012345"),
        ("A,B", ""),
        ("trusted", ""),
        ("A-semitrusted", "012"),
    ],
)
def test_copies_are_counted_in_groups_together(chosen: str, counted: str) -> None:
    """As git-annex 10.20261026 was seen to do with ``=`` before the number."""
    uuids = [UUID(b"%08d-0000-4000-8000-000000000009" % n) for n in range(6)]
    groups = ["AC", "A", "AB", "BC", "C", ""]
    configuration = Configuration(groups=dict(zip(uuids, map(frozenset, groups))))
    for number, uuid in enumerate(uuids):
        facts = GivenFacts(held_by=[uuid])
        for term in (f"copies={chosen}=1", f"not lackingcopies={chosen}=1"):
            asked = attrs.evolve(configuration, preferred={ME: term})
            assert answer(asked, facts).wanted is (str(number) in counted), term


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("copies=A=2=3", "bad value for copies"),
        ("copies===", "bad value for copies"),
        ("copies=A=x", "bad number for copies"),
        ("copies=A=1:A", "bad number for copies"),
        ("copies=:=1", "bad number for copies"),
        ("copies=A:1:2", "bad number for copies"),
        ("lackingcopies=A=2=3", "bad value for number of lacking copies"),
        ("lackingcopies=A=x", "bad value for number of lacking copies"),
        ("copies=A:2=1", ""),
        ("copies=A=1x", ""),
        ("copies=A=:1", ""),
        ("copies=1:2:3", ""),
        ("copies=1=2:3:4", ""),
        ("copies=1=2=3", "bad value for copies"),
        ("lackingcopies=1:A:2", ""),
        ("lackingcopies=1=2=3", ""),
    ],
)
def test_what_is_no_number_of_copies(term: str, message: str) -> None:
    assert [p.message for p in parse(term).problems] == [message][: bool(message)]


def test_a_dead_cluster_is_no_location() -> None:
    configuration = Configuration(
        preferred={ME: "onlyingroup=G", OTHER: "inallgroup=H"},
        groups={ME: frozenset("G"), CLUSTER: frozenset("H")},
        clusters={CLUSTER: frozenset([ME])},
    )
    facts = GivenFacts(held_by=[ME])
    assert not answer(configuration, facts).wanted
    assert answer(configuration, facts, OTHER).wanted
    dead = attrs.evolve(configuration, trust={CLUSTER: Trust.DEAD})
    assert answer(dead, facts).wanted
    assert not answer(dead, facts, OTHER).wanted


def test_absent_repositories_still_have_what_is_present() -> None:
    facts = GivenFacts(held_by=[ME])
    kept = Configuration(preferred={ME: "present"})
    assert answer(kept, facts, absent=[ME]).wanted


def test_a_balanced_term_that_is_true_is_told() -> None:
    facts = GivenFacts()
    texts = {
        "balanced=G:2": Answer(True, True),
        "anything or balanced=G:2": Answer(True, False),
        "balanced=G:2 and nothing": Answer(False, True),
        "fullybalanced=H": Answer(False, False),
        "groupwanted": Answer(True, True),
    }
    for text, expected in texts.items():
        configuration = attrs.evolve(
            GROUPED,
            preferred={ME: text},
            group_preferred={"G": "sizebalanced=G or balanced=G:2"},
        )
        assert answer(configuration, facts) == expected, text


def test_many_numbers_are_one_search() -> None:
    """Who has the least number that picks a repository has the answer to all others."""
    members = [UUID(b"%036d" % n) for n in range(300)]
    groups = dict.fromkeys(members, frozenset("G"))
    for uuid in members[::60]:
        for number in (1, 2, 150, 299, 300, 1000):
            texts = [f"fullybalanced=G:{number}"]
            texts += [f"(fullybalanced=G:{n} and nothing)" for n in range(0, 400, 7)]
            configuration = Configuration(
                preferred={uuid: " or ".join(texts)}, groups=groups
            )
            alone = Configuration(preferred={uuid: texts[0]}, groups=groups)
            shuffled = Configuration(
                preferred={uuid: " or ".join(reversed(texts))}, groups=groups
            )
            facts = GivenFacts()
            expected = answer(alone, facts, uuid).wanted
            assert answer(configuration, facts, uuid).wanted is expected
            assert answer(shuffled, facts, uuid).wanted is expected


def test_nodes_share_what_is_known_of_a_key() -> None:
    configuration = attrs.evolve(
        GROUPED, preferred=dict.fromkeys([ME, OTHER], "balanced=G or lackingcopies=1")
    )
    preferences, facts = Preferences(configuration), GivenFacts()
    known = Known(facts, configuration)
    answers = [
        evaluate(preferences.preferred(u), Question(u, facts, configuration), known)
        for u in (ME, OTHER)
    ]
    assert [a.wanted for a in answers] == [True, True]
    assert sorted(facts.asked) == ["holders", "numcopies"]
