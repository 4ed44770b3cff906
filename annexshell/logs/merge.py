"""Two versions of one log become one (spec 03 §7.2, §9.2, §11.5).

Merging is commutative, associative and idempotent: every repository that has seen the same
lines reads the same meaning, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Mapping

from annexshell.logs.location import (
    LocationLog,
    Presence,
    format_location,
    parse_location,
)
from annexshell.model.ids import UUID


def complete_lines(content: bytes) -> bytes:
    """``content`` without what follows its last line feed: an append that broke off.

    A truncated line in the journal may read as the line of another repository.
    """
    return content[: content.rfind(b"\n") + 1]


def union(one: bytes, other: bytes) -> bytes:
    """The union of two logs' lines, as git-annex merges them (spec 03 §9.2).

    A side that has all lines already is given back as it is, else lines are sorted.
    """
    if one == other:
        return one
    lines, more = _line_set(one), _line_set(other)
    if more <= lines:
        return one
    if lines <= more:
        return other
    return b"".join(line + b"\n" for line in sorted(lines | more))


def join(one: bytes, other: bytes, *, location: bool) -> bytes:
    """What both texts say together.

    A location log is merged by meaning, so that lines that lost do not come back; lines
    that do not parse are kept. Any other log is the union of its lines, because whether a
    line of it may be dropped only its own reader knows.
    """
    if not location or one == other:
        return union(one, other)
    if not one or not other:
        # As with most keys: nothing is committed yet, or nothing waits.
        return one or other
    mine, theirs = parse_location(one), parse_location(other)
    both = LocationLog(
        _newest(mine.winners, theirs.winners), mine.strays | theirs.strays
    )
    if both == mine:
        return one
    return other if both == theirs else format_location(both)


def _line_set(content: bytes) -> set[bytes]:
    lines = set(content.split(b"\n"))
    if not content.startswith(b"\n") and b"\n\n" not in content:
        lines.discard(b"")
    return lines


def _newest(
    one: Mapping[UUID, Presence], other: Mapping[UUID, Presence]
) -> dict[UUID, Presence]:
    newest = dict(one)
    for uuid, entry in other.items():
        best = newest.get(uuid)
        if best is None or _rank(entry) > _rank(best):
            newest[uuid] = entry
    return newest


def _rank(entry: Presence) -> tuple[int, int]:
    # At equal clocks the bytewise first status wins, as it does in a sorted union:
    # "missing" before "present", which errs on the side of keeping content.
    return (entry.clock, -entry.status[0])
