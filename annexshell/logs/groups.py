"""group.log: which groups repositories are in (spec 03 §4.2).

Names are decoded from UTF-8; bytes that are none are kept as surrogates.
"""

from __future__ import annotations

from collections.abc import Iterable

from annexshell.logs.mapped import Form, parse_map, with_value
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID


def groups(content: bytes) -> dict[UUID, frozenset[str]]:
    """The groups of each repository that has a line; there may be none in it."""
    return {
        UUID(field): frozenset(
            word.decode("utf-8", "surrogateescape") for word in words
        )
        for field, entry in parse_map(content, Form.OLD).items()
        for words in (_words(entry.value),)
    }


def with_groups(
    content: bytes, uuid: UUID, names: Iterable[str], candidate: Clock
) -> bytes | None:
    """group.log with the repository in these groups only, None if it is so already.

    No groups stay as a line, but are no reason to begin one. Raises ValueError for a name
    that is empty, or has a space or the end of a line in it.
    """
    wanted = {name.encode("utf-8", "surrogateescape") for name in names}
    if any(not name or _words(name) != {name} for name in wanted):
        raise ValueError("group.log cannot hold this name")
    if not wanted and uuid not in parse_map(content, Form.OLD):
        return None
    value = b" ".join(sorted(wanted))
    return with_value(content, Form.OLD, uuid, value, candidate, spelled=_spelled)


def _words(value: bytes) -> frozenset[bytes]:
    return frozenset(word for word in value.split(b" ") if word)


def _spelled(value: bytes) -> bytes:
    return b" ".join(sorted(_words(value)))
