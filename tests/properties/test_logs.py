"""Laws that the texts of the git-annex branch obey, whatever is in them."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from annexshell.logs.clusters import clusters
from annexshell.logs.equivalent import equivalent_keys
from annexshell.logs.lines import lines_of
from annexshell.logs.location import (
    DEAD,
    MISSING,
    PRESENT,
    LocationLog,
    Presence,
    format_location,
    holders,
    location_path,
    parse_line,
    parse_location,
    with_presence,
)
from annexshell.logs.mapped import (
    Entry,
    Form,
    descriptions,
    format_map,
    parse_map,
    trust_levels,
    with_description,
    with_value,
)
from annexshell.logs.merge import complete_lines, join, union
from annexshell.logs.proxies import Proxied, is_legal_name, proxied_by
from annexshell.model.clock import SECOND, Clock, bump, format_clock, parse_clock
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.journal import branch_path, journal_name
from annexshell.repository.merging import differences_in, transitions
from tests.support.strategies import keys

CLOCKS = st.integers(min_value=-(10**30), max_value=10**30).map(Clock)
UUIDS = st.sampled_from([b"u1", b"u2", b"u3"]).map(UUID)
LINES = st.one_of(
    st.builds(
        b"%ds %b %b".__mod__,
        st.tuples(st.integers(-2, 4), st.sampled_from([b"0", b"1", b"X", b"Y"]), UUIDS),
    ),
    st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"")),
)
LOGS = st.lists(LINES, max_size=6).map(lambda lines: b"".join(x + b"\n" for x in lines))
EVENTS = st.lists(st.tuples(UUIDS, st.booleans(), st.integers(0, 5)), max_size=20)


def _meaning(content: bytes) -> object:
    return parse_location(content)


@given(CLOCKS)
@example(Clock(-SECOND - 1))
def test_a_clock_survives_writing_and_reading(clock: Clock) -> None:
    back = parse_clock(format_clock(clock))
    # Between -1 s and 0 the sign is lost in reading, as it is for git-annex.
    assert back == (abs(clock) if -SECOND < clock < 0 else clock)


@given(CLOCKS, CLOCKS)
def test_a_bumped_clock_is_newer(candidate: Clock, newest: Clock) -> None:
    assert bump(candidate, newest) > newest
    assert bump(candidate, newest) >= candidate


@given(LOGS, LOGS)
def test_merging_is_commutative(one: bytes, other: bytes) -> None:
    there = join(one, other, location=True)
    back = join(other, one, location=True)
    assert _meaning(there) == _meaning(back)
    assert _lines(union(one, other)) == _lines(union(other, one))


@given(LOGS, LOGS, LOGS)
def test_merging_is_associative(one: bytes, two: bytes, three: bytes) -> None:
    left = join(join(one, two, location=True), three, location=True)
    right = join(one, join(two, three, location=True), location=True)
    assert _meaning(left) == _meaning(right)
    assert _lines(union(union(one, two), three)) == _lines(
        union(one, union(two, three))
    )


@given(LOGS, LOGS)
def test_merging_again_changes_nothing(one: bytes, other: bytes) -> None:
    for location in (False, True):
        merged = join(one, other, location=location)
        assert join(merged, other, location=location) == merged
        assert join(merged, merged, location=location) == merged


@given(LOGS, LOGS)
def test_a_union_has_every_line_and_no_other(one: bytes, other: bytes) -> None:
    assert _lines(union(one, other)) == _lines(one) | _lines(other)


def _lines(content: bytes) -> set[bytes]:
    return {line for line in content.split(b"\n") if line}


@given(EVENTS)
def test_a_log_knows_the_last_thing_that_was_said(
    events: list[tuple[UUID, bool, int]],
) -> None:
    content = b""
    model: dict[UUID, bool] = {}
    for uuid, present, second in events:
        new = with_presence(content, uuid, present, Clock(second * SECOND))
        assert (new is None) == (model.get(uuid) is present)
        model[uuid] = present
        content = content if new is None else new
    assert holders(content) == {uuid for uuid, present in model.items() if present}


@given(EVENTS, EVENTS)
def test_writers_apart_agree_after_they_meet(
    mine: list[tuple[UUID, bool, int]], theirs: list[tuple[UUID, bool, int]]
) -> None:
    texts = []
    for events in (mine, theirs):
        content = b""
        for uuid, present, second in events:
            content = (
                with_presence(content, uuid, present, Clock(second * SECOND)) or content
            )
        texts.append(content)
    here, there = join(*texts, location=True), join(*texts[::-1], location=True)
    assert holders(here) == holders(there)
    # What git-annex makes of the same two texts means the same.
    assert holders(union(*texts)) == holders(here)


@given(LOGS, UUIDS, st.booleans(), CLOCKS)
def test_setting_a_status_changes_nobody_elses(
    log: bytes, uuid: UUID, present: bool, clock: Clock
) -> None:
    new = with_presence(log, uuid, present, clock)
    before, after = parse_location(log).winners, parse_location(new or log).winners
    assert {u: e for u, e in before.items() if u != uuid} == {
        u: e for u, e in after.items() if u != uuid
    }
    assert (after[uuid].status == PRESENT) is present


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=4))
@example([b"a_", b"b.log"])
@example([b"__", b"x", b"__"])
def test_journal_names_lead_back(parts: list[bytes]) -> None:
    clean = [part.replace(b"\0", b"").replace(b"/", b"") for part in parts]
    # git-annex's escaping cannot tell "/_" from "_/"; the journal refuses such paths.
    path = b"/".join(part.lstrip(b"_") or b"x" for part in clean)
    name = journal_name(path)
    assert b"/" not in name
    assert branch_path(name) == path


@given(st.binary(max_size=40).filter(lambda b: b"\0" not in b and b"\n" not in b))
def test_every_key_has_a_path_that_the_journal_can_name(name: bytes) -> None:
    path = location_path(Key(backend=b"WORM", name=name))
    assert path.count(b"/") == 2
    assert branch_path(journal_name(path)) == path


@given(st.binary(max_size=300))
def test_maps_survive_rewriting(content: bytes) -> None:
    for form in Form:
        found = parse_map(content, form)
        again = parse_map(format_map(found.values(), form), form)
        assert {f: e.value for f, e in again.items()} == {
            f: e.value for f, e in found.items()
        }


# -- what is printed is read -----------------------------------------------------------------

# Between -1 s and 0 the sign is lost in reading.
READABLE = CLOCKS.filter(lambda clock: not -SECOND < clock < 0)
FULL_UUIDS = st.uuids().map(lambda uuid: UUID(str(uuid).encode()))
CLUSTERS = FULL_UUIDS.map(lambda uuid: UUID(b"ac" + uuid[2:14] + b"8" + uuid[15:]))
WORDS = st.binary(min_size=1, max_size=9).filter(lambda b: not set(b) & set(b" \r\n"))
VALUES = st.binary(max_size=20).filter(lambda b: not set(b) & set(b"\r\n"))
STRAYS = VALUES.filter(lambda line: bool(line) and parse_line(line) is None)
PRESENCES = st.builds(
    Presence, READABLE, st.sampled_from([PRESENT, MISSING, DEAD]), VALUES.map(UUID)
)


@given(st.lists(PRESENCES, max_size=5), st.frozensets(STRAYS, max_size=3))
def test_a_location_log_survives(
    entries: list[Presence], strays: frozenset[bytes]
) -> None:
    log = LocationLog({entry.uuid: entry for entry in entries}, strays)
    assert parse_location(format_location(log)) == log


def _readable_back(entry: Entry) -> bool:
    # A value that ends as a clock does would be read as one.
    return entry.clock is not None or b"timestamp=" not in entry.value


@given(
    st.lists(st.builds(Entry, WORDS, VALUES, READABLE | st.none()), max_size=5),
    st.sampled_from(Form),
)
def test_a_map_survives(entries: list[Entry], form: Form) -> None:
    wanted = {entry.field: entry for entry in entries if _readable_back(entry)}
    if form is Form.NEW:
        # The new form has no word for "unknown".
        wanted = {
            field: entry if entry.clock is not None else entry._replace(clock=Clock(0))
            for field, entry in wanted.items()
        }
    assert parse_map(format_map(wanted.values(), form), form) == wanted


@given(
    st.dictionaries(
        FULL_UUIDS, st.lists(st.tuples(FULL_UUIDS, WORDS), max_size=4), max_size=3
    )
)
def test_lists_of_proxied_remotes_survive(
    lists: dict[UUID, list[tuple[UUID, bytes]]],
) -> None:
    text = b"".join(
        b"1s %b %b\n" % (gateway, b" ".join(b"%b:%b" % pair for pair in pairs))
        for gateway, pairs in lists.items()
    )
    assert proxied_by(text) == {
        gateway: tuple(
            sorted(Proxied(*pair) for pair in pairs if is_legal_name(pair[1]))
        )
        for gateway, pairs in lists.items()
    }


@given(st.dictionaries(CLUSTERS, st.frozensets(FULL_UUIDS, max_size=4), max_size=3))
def test_clusters_survive(nodes: dict[UUID, frozenset[UUID]]) -> None:
    text = b"".join(
        b"1s %b %b\n" % (cluster, b" ".join(sorted(members)))
        for cluster, members in nodes.items()
    )
    assert clusters(text) == nodes


@given(FULL_UUIDS, st.binary(max_size=30), READABLE)
def test_a_description_survives(uuid: UUID, words: bytes, clock: Clock) -> None:
    text = with_description(b"", uuid, words, clock)
    assert text is not None
    shown = words.replace(b"\r", b"").replace(b"\n", b"\\n")
    assert descriptions(text) == {uuid: shown}
    assert with_description(text, uuid, words, clock) is None


@given(LOGS, st.sampled_from(Form), WORDS, VALUES, READABLE)
def test_setting_a_value_changes_no_other(
    log: bytes, form: Form, field: bytes, value: bytes, clock: Clock
) -> None:
    before = parse_map(log, form)
    new = with_value(log, form, field, value, clock)
    after = parse_map(new if new is not None else log, form)
    assert after.pop(field).value == value
    before.pop(field, None)
    assert {f: e.value for f, e in after.items()} == {
        f: e.value for f, e in before.items()
    }


@given(st.frozensets(keys(), max_size=4), st.frozensets(keys(), max_size=4))
def test_equivalent_keys_survive(here: frozenset[Key], gone: frozenset[Key]) -> None:
    entries = [
        *(Presence(Clock(0), PRESENT, UUID(key.text)) for key in here),
        *(Presence(Clock(SECOND), MISSING, UUID(key.text)) for key in gone),
    ]
    text = b"".join(entry.line for entry in entries)
    assert equivalent_keys(text) == {k for k in here - gone if k.backend != b"VURL"}


# -- what both sides said survives merging ---------------------------------------------------


@given(LOGS, LOGS)
def test_no_line_that_is_not_understood_is_lost(one: bytes, other: bytes) -> None:
    both = parse_location(one).strays | parse_location(other).strays
    assert parse_location(join(one, other, location=True)).strays == both
    assert set(lines_of(one)) | set(lines_of(other)) == set(lines_of(union(one, other)))


DISTINCT = st.lists(
    st.tuples(UUIDS, st.sampled_from([b"", b"0", b"1", b"X", b"long"])), max_size=8
)


def _versions(entries: list[tuple[UUID, bytes]], cut: int) -> tuple[bytes, bytes]:
    """Two versions of trust.log, each line with a clock of its own."""
    lines = [
        b"%b %b timestamp=%ds\n" % (uuid, value, second)
        for second, (uuid, value) in enumerate(entries)
    ]
    return b"".join(lines[:cut]), b"".join(reversed(lines[max(0, cut - 2) :]))


@given(DISTINCT, st.integers(0, 8))
def test_maps_mean_the_same_however_they_are_merged(
    entries: list[tuple[UUID, bytes]], cut: int
) -> None:
    one, other = _versions(entries, cut)
    there, back = union(one, other), union(other, one)
    assert trust_levels(there) == trust_levels(back)
    for form in Form:
        assert parse_map(there, form) == parse_map(back, form)
    known = [(uuid, value) for uuid, value in entries if len(value) <= 1]
    assert trust_levels(there).keys() == {uuid for uuid, _ in known}
    for uuid, value in dict(known).items():
        assert (
            parse_map(there, Form.OLD, lambda e: len(e.value) <= 1)[uuid].value == value
        )


@given(LOGS, LOGS)
def test_what_guards_a_merge_does_not_depend_on_order(one: bytes, other: bytes) -> None:
    assert differences_in(union(one, other)) == differences_in(union(other, one))
    assert transitions(union(one, other)) == transitions(one) | transitions(other)


@given(LOGS, st.binary(max_size=20).filter(lambda b: b"\n" not in b))
def test_a_broken_off_append_takes_nothing_with_it(log: bytes, rest: bytes) -> None:
    assert complete_lines(log + rest) == log
