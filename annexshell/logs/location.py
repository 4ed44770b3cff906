"""Location logs: which repositories have the content of a key (spec 03 §2.1, §3, §4.1).

Lines are ``CLOCK STATUS UUID``. The newest line of a uuid counts; of lines with the same
clock the first one in the file does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from annexshell.logs.lines import lines_of
from annexshell.model.clock import Clock, bump, format_clock, parse_clock
from annexshell.model.ids import UUID
from annexshell.model.key import Key

PRESENT = b"1"
MISSING = b"0"
DEAD = b"X"
_STATUSES = frozenset((PRESENT, MISSING, DEAD))


class Presence(NamedTuple):
    """One line about one repository; ``status`` is PRESENT, MISSING or DEAD."""

    clock: Clock
    status: bytes
    uuid: UUID

    @property
    def line(self) -> bytes:
        return b"%b %b %b\n" % (format_clock(self.clock), self.status, self.uuid)


class LocationLog(NamedTuple):
    """A parsed log: the winning line of each uuid, and the lines that do not parse."""

    winners: Mapping[UUID, Presence]
    strays: frozenset[bytes]


def location_path(key: Key, *, one_level: bool = False) -> bytes:
    """The branch path of a key's location log.

    ``one_level`` is annex.tune.branchhash1. Chunks share the directory of their whole.
    """
    digits = key.digest[:3].hex().encode()
    directory = digits[:3] if one_level else digits[:3] + b"/" + digits[3:]
    return b"%b/%b.log" % (directory, key.file_name)


def is_location_path(path: bytes, *, one_level: bool = False) -> bool:
    """Whether ``path`` names a location log: the suffix alone does not say it."""
    return path.endswith(b".log") and path.count(b"/") == (1 if one_level else 2)


def parse_line(line: bytes) -> Presence | None:
    """The line's meaning, None if it has none and is to be skipped."""
    parts = line.split(b" ", 2)
    if len(parts) != 3 or parts[1] not in _STATUSES:
        return None
    clock = parse_clock(parts[0])
    return None if clock is None else Presence(clock, parts[1], UUID(parts[2]))


def parse_location(content: bytes) -> LocationLog:
    """The log's meaning; a line that does not parse is skipped alone."""
    winners: dict[UUID, Presence] = {}
    strays: set[bytes] = set()
    for line in lines_of(content):
        found = parse_line(line)
        if found is None:
            strays.add(line)
            continue
        best = winners.get(found.uuid)
        if best is None or found.clock > best.clock:
            winners[found.uuid] = found
    return LocationLog(winners, frozenset(strays))


def format_location(log: LocationLog) -> bytes:
    """The compacted text: one line a uuid, sorted by uuid, then the strays."""
    lines = [log.winners[uuid].line for uuid in sorted(log.winners)]
    return b"".join(lines + [stray + b"\n" for stray in sorted(log.strays)])


def holders(content: bytes) -> frozenset[UUID]:
    """The repositories that the log says have the content."""
    found = parse_location(content).winners.values()
    return frozenset(entry.uuid for entry in found if entry.status == PRESENT)


def with_presence(
    content: bytes, uuid: UUID, present: bool, candidate: Clock
) -> bytes | None:
    """The whole new text of the log, None if it says so already (spec 03 §4.1).

    ``candidate`` is the time of the event. Lines that lost or do not parse are dropped.
    """
    said = with_line(content, uuid, present, candidate)
    return None if said is None else said[0]


def with_line(
    content: bytes, uuid: UUID, present: bool, candidate: Clock
) -> tuple[bytes, Clock] | None:
    """`with_presence`, and the clock of the new line."""
    winners = dict(parse_location(content).winners)
    status = PRESENT if present else MISSING
    old = winners.get(uuid)
    if old is not None and old.status == status:
        return None
    clock = bump(candidate, old.clock if old else None)
    winners[uuid] = Presence(clock, status, uuid)
    return format_location(LocationLog(winners, frozenset())), clock
