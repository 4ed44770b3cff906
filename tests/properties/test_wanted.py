"""Laws of what expressions of preferred content are made of."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from hypothesis import example, given
from hypothesis import strategies as st

from annexshell.logs.metadata import current_metadata
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.wanted.balanced import Space, fully_balanced, fully_size_balanced
from annexshell.wanted.brackets import Assertion, Item, Star
from annexshell.wanted.globs import Glob, compile_glob
from annexshell.wanted.quantities import parse_number, parse_size, precise_size
from tests.support.strategies import keys

PARTS = st.sampled_from(
    [*"ab/\\-^'`<>é:", *"****??", "[a-b]", "[!a]", "[^/]", "[/]", "[<]", "[\\", "[]"]
    + ["[[:space:]]", "[[:alpha:]]", "[[:digit:]", "]", "//", "[\n]", "Ä", "ß"]
)
GLOBS = st.lists(PARTS, max_size=7).map("".join)
NAMES = st.text("aabB//\\]-<> \n_éäÄß'5", max_size=7)


# -- globs -----------------------------------------------------------------------------------


def _ways(item: Item, text: str, at: int, ignore_case: bool) -> Iterator[int]:
    """All places where one part of a glob can end that begins here."""
    if isinstance(item, Assertion):
        words = [c.isascii() and (c.isalnum() or c == "_") for c in f"-{text}-"]
        before, after = words[at], words[at + 1]
        holds = {
            Assertion.START: at == 0,
            Assertion.END: at == len(text),
            Assertion.WORD_START: after and not before,
            Assertion.WORD_END: before and not after,
        }
        yield from [at] if holds[item] else []
        return
    if isinstance(item, Star):
        yield at
        while at < len(text) and text[at] != "\n":
            yield (at := at + 1)
        return
    ranges = item.characters(ignore_case=ignore_case)
    while at < len(text) and any(a <= ord(text[at]) <= b for a, b in ranges):
        yield (at := at + 1)
        if not item.repeat:
            return


def _naive(glob: Glob, text: str, ignore_case: bool) -> bool:
    """By trying every way."""
    places = {0, *(at + 1 for at, char in enumerate(text) if char == "\n")}
    for item in glob.items:
        places = {end for at in places for end in _ways(item, text, at, ignore_case)}
    return any(at == len(text) or text[at] == "\n" for at in places)


@given(GLOBS, NAMES, st.booleans(), st.booleans())
@example("a/*/b", "a//b", True, False)
@example("/?/?/?/?", "//////", True, False)
@example("*`*<*>*'", "a b", True, False)
@example("[[:digit:]/x]", "5[/5x]", True, False)
def test_a_glob_matches_what_trying_every_way_finds(
    text: str, name: str, path: bool, ignore_case: bool
) -> None:
    glob = compile_glob(text, path=path, ignore_case=ignore_case)
    if glob is not None:
        expected = _naive(glob, name, ignore_case)
        assert glob.matches(name) is expected
        assert glob.automaton.matches(name) is expected


@given(NAMES.filter(lambda name: not set(name) & set("[]'`<>*?\\/\n")))
def test_a_plain_glob_matches_itself_alone(name: str) -> None:
    glob = compile_glob(name, path=True, ignore_case=False)
    assert glob is not None
    assert glob.matches(name)
    assert not glob.matches(name + "x")


@given(GLOBS, NAMES)
def test_case_that_is_ignored_can_only_add(text: str, name: str) -> None:
    text = text.replace("!", "").replace("^", "")
    exact = compile_glob(text, path=True, ignore_case=False)
    loose = compile_glob(text, path=True, ignore_case=True)
    assert (exact is None) is (loose is None)
    if exact is not None and loose is not None:
        assert loose.matches(name) or not exact.matches(name)


# -- sizes -----------------------------------------------------------------------------------


@given(st.integers(0, 10**15))
def test_a_size_survives_being_printed(size: int) -> None:
    # A quotient of doubles may lose the last bit of large ones, as git-annex's does.
    back = parse_size(precise_size(size))
    assert back is not None
    assert abs(back - size) <= size >> 50


@given(st.text(max_size=20))
def test_no_text_is_too_strange_for_a_size(text: str) -> None:
    size = parse_size(text)
    if size is not None:
        precise_size(size)


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["", "x", " ", "k", ":"]))
def test_a_number_is_read_whatever_follows(number: int, rest: str) -> None:
    assert parse_number(f"{number}{rest}") == number


# -- picks -----------------------------------------------------------------------------------

MEMBERS = st.frozensets(
    st.integers(0, 99).map(lambda n: UUID(b"%d" % n)), min_size=1, max_size=8
)
NUMBERS = st.dictionaries(
    st.integers(0, 99).map(lambda n: UUID(b"%d" % n)), st.integers(0, 9), max_size=99
)


@given(MEMBERS, st.integers(1, 9), keys())
def test_picks_follow_each_other_in_a_circle(
    members: frozenset[UUID], count: int, key: Key
) -> None:
    space = Space({}, {}, key, frozenset())
    (first,) = fully_balanced(members, 1, space)
    ordered = sorted(members)
    at = ordered.index(first)
    circle = [*ordered[at:], *ordered[:at]]
    assert fully_balanced(members, count, space) == frozenset(circle[:count])


@given(MEMBERS, st.integers(-1, 9), keys(), NUMBERS, NUMBERS, MEMBERS)
def test_only_members_with_room_are_picked_and_as_many_as_asked(
    members: frozenset[UUID],
    count: int,
    key: Key,
    sizes: dict[UUID, int],
    maxsize: dict[UUID, int],
    holders: frozenset[UUID],
) -> None:
    space = Space(sizes, maxsize, key, holders)
    having = {uuid for uuid in members if space.has_room(uuid)}
    picked = fully_balanced(members, count, space)
    assert picked <= having
    assert len(picked) == min(max(count, 0), len(having))
    emptiest = fully_size_balanced(members, count, space)
    assert emptiest <= having & {uuid for uuid, most in maxsize.items() if most}
    again = Space(sizes, maxsize, key, holders)
    backwards = frozenset(sorted(members, reverse=True))
    assert fully_balanced(backwards, count, again) == picked
    assert fully_size_balanced(backwards, count, again) == emptiest


@given(MEMBERS, st.integers(1, 8), keys(), NUMBERS, NUMBERS)
def test_whoever_is_asked_first_by_size_is_asked_for_more_copies_too(
    members: frozenset[UUID],
    count: int,
    key: Key,
    sizes: dict[UUID, int],
    maxsize: dict[UUID, int],
) -> None:
    space = Space(sizes, maxsize, key, frozenset())
    fewer = fully_size_balanced(members, count, space)
    assert fewer <= fully_size_balanced(members, count + 1, space)


# -- metadata --------------------------------------------------------------------------------

VALUES = st.text(max_size=5).map(lambda text: text.encode())
EVENTS = st.lists(
    st.tuples(st.sampled_from(["f", "F", "g"]), VALUES, st.booleans()), max_size=9
)


def _line(second: int, field: str, value: bytes, is_set: bool) -> bytes:
    sign = b"+" if is_set else b"-"
    text = b"!" + base64.b64encode(value) if set(value) & set(b" \r\n!") else value
    return b"%ds %b %b%b\n" % (second, field.encode(), sign, text)


@given(EVENTS)
def test_metadata_knows_the_last_thing_that_was_said(
    events: list[tuple[str, bytes, bool]],
) -> None:
    model: dict[tuple[str, bytes], bool] = {}
    lines = []
    for second, (field, value, is_set) in enumerate(events):
        model[field.lower(), value] = is_set
        lines.append(_line(second, field, value, is_set))
    expected = {(f, v.decode()) for (f, v), is_set in model.items() if is_set}
    for order in (lines, lines[::-1], sorted(lines)):
        found = current_metadata(b"".join(order))
        assert {(f, v) for f, vs in found.items() for v in vs} == expected


@given(st.binary(max_size=60))
def test_no_text_is_too_strange_for_metadata(text: bytes) -> None:
    found = current_metadata(b"1s " + text)
    assert all(found.values())
