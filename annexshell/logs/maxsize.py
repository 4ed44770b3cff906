"""maxsize.log: how large repositories may get (spec 03 §4.7)."""

from __future__ import annotations

from annexshell.logs.mapped import Entry, Form, parse_map, with_value
from annexshell.logs.numbers import lenient_integer
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID


def maxsizes(content: bytes) -> dict[UUID, int]:
    """Each repository's limit in bytes, as it is recorded: it may be 0, or negative.

    One of more than 300 digits is 10^300.
    """
    return {
        UUID(field): _number(entry.value)
        for field, entry in parse_map(content, Form.NEW, _readable).items()
    }


def with_maxsize(
    content: bytes, uuid: UUID, limit: int, candidate: Clock
) -> bytes | None:
    """maxsize.log with a new limit for the repository, None if it has that already.

    Raises ValueError for a negative limit, and for what is no uuid.
    """
    if limit < 0:
        raise ValueError("a size is not negative")
    value = b"%d" % limit
    return with_value(content, Form.NEW, uuid, value, candidate, _readable, _spelled)


def _readable(entry: Entry) -> bool:
    return lenient_integer(entry.value) is not None


def _spelled(value: bytes) -> bytes:
    return b"%d" % _number(value)


def _number(value: bytes) -> int:
    return lenient_integer(value) or 0
