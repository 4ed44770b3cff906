"""Logs that map a field to a value: uuid.log, trust.log, and their like (spec 03 §3.3).

The old form is ``UUID VALUE timestamp=CLOCK``, the new one ``CLOCK FIELD VALUE``. The
newest line of a field counts; of lines with the same clock the last one in the file does.
A line whose value makes no sense to the reader of that log is skipped alone, so the
checking of values belongs into the parsing, before the newest line is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from annexshell.logs.lines import lines_of
from annexshell.model.clock import Clock, bump, format_clock, parse_clock, rank
from annexshell.model.ids import UUID

_STAMP = b"timestamp="


class Entry(NamedTuple):
    """One line; a ``clock`` of None is unknown, older than every other."""

    field: bytes
    value: bytes
    clock: Clock | None


Check = Callable[[Entry], bool]


def _anything(entry: Entry) -> bool:
    return True


class Form(Enum):
    """How the lines of a log are spelled."""

    OLD = "UUID VALUE timestamp=CLOCK"
    NEW = "CLOCK FIELD VALUE"

    def parse_line(self, line: bytes) -> Entry | None:
        """The line's parts, None if it is no such line."""
        return _parse_old(line) if self is Form.OLD else _parse_new(line)

    def line(self, entry: Entry) -> bytes:
        """The text of ``entry`` with its end."""
        if self is Form.NEW:
            clock = b"0s" if entry.clock is None else format_clock(entry.clock)
            return b"%b %b %b\n" % (clock, entry.field, entry.value)
        line = entry.field + b" " + entry.value
        if entry.clock is None:
            return line + b"\n"
        return b"%b %b%b\n" % (line, _STAMP, format_clock(entry.clock))


def _parse_old(line: bytes) -> Entry | None:
    field, _, rest = line.partition(b" ")
    if not field:
        return None
    value, space, last = rest.rpartition(b" ")
    if last.startswith(_STAMP):
        clock = parse_clock(last.removeprefix(_STAMP))
        if clock is not None:
            return Entry(field, value, clock)
    return Entry(field, rest, None)


def _parse_new(line: bytes) -> Entry | None:
    parts = line.split(b" ", 2)
    if len(parts) != 3 or not parts[1]:
        return None
    clock = parse_clock(parts[0])
    return None if clock is None else Entry(parts[1], parts[2], clock)


def parse_map(
    content: bytes, form: Form, valid: Check = _anything
) -> dict[bytes, Entry]:
    """The winning line of each field, among the lines whose value is ``valid``."""
    winners: dict[bytes, Entry] = {}
    for line in lines_of(content):
        entry = form.parse_line(line)
        if entry is None or not valid(entry):
            continue
        best = winners.get(entry.field)
        if best is None or rank(entry.clock) >= rank(best.clock):
            winners[entry.field] = entry
    return winners


def format_map(entries: Iterable[Entry], form: Form) -> bytes:
    """The text of a log, sorted by field."""
    return b"".join(form.line(entry) for entry in sorted(entries))


def with_value(
    content: bytes,
    form: Form,
    field: bytes,
    value: bytes,
    candidate: Clock,
    valid: Check = _anything,
    spelled: Callable[[bytes], bytes] = bytes,
) -> bytes | None:
    """The whole new text of the log, None if ``field`` has ``value`` already.

    ``candidate`` is the time of the change (spec 03 §6). ``spelled`` gives a valid value,
    also of another field, the form that git-annex writes it in. Raises ValueError for a
    field or value that a line cannot hold.
    """
    if not field or b" " in field or any(end in field + value for end in b"\r\n"):
        raise ValueError("a log line cannot hold this field or value")
    winners = {
        name: entry._replace(value=spelled(entry.value))
        for name, entry in parse_map(content, form, valid).items()
    }
    old = winners.get(field)
    if old is not None and old.value == value:
        return None
    winners[field] = Entry(field, value, bump(candidate, old.clock if old else None))
    return format_map(winners.values(), form)


def descriptions(content: bytes) -> dict[UUID, bytes]:
    """uuid.log: what each repository is called (spec 03 §4.2)."""
    return {UUID(f): e.value for f, e in parse_map(content, Form.OLD).items()}


def with_description(
    content: bytes, uuid: UUID, description: bytes, candidate: Clock
) -> bytes | None:
    """uuid.log with a new description; its line ends become the two characters ``\\n``."""
    text = description.replace(b"\r", b"").replace(b"\n", b"\\n")
    return with_value(content, Form.OLD, uuid, text, candidate)


class Trust(Enum):
    """How far a repository's word is taken (spec 03 §4.2)."""

    TRUSTED = "trusted"
    SEMITRUSTED = "semitrusted"
    UNTRUSTED = "untrusted"
    DEAD = "dead"


_TRUST: Mapping[bytes, Trust] = {
    b"": Trust.TRUSTED,
    b"1": Trust.TRUSTED,
    b"0": Trust.UNTRUSTED,
    b"X": Trust.DEAD,
}


def trust_levels(content: bytes) -> dict[UUID, Trust]:
    """trust.log: repositories that are not listed are semitrusted."""
    entries = parse_map(content, Form.OLD, lambda entry: len(entry.value) <= 1)
    return {
        UUID(field): _TRUST.get(entry.value, Trust.SEMITRUSTED)
        for field, entry in entries.items()
    }
