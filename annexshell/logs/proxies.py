"""proxy.log: which repositories can be reached through which gateway (spec 03 §4.7).

Names come from whoever could push to the branch, and become names of git remotes and
parts of paths: an entry whose name is not legal is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from annexshell.logs.mapped import Entry, Form, parse_map, with_value
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID, is_safe_uuid

_LEGAL = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_ELEMENT = re.compile(rb"( *[^ :]*):([^ ]+)(?: |\Z)")
"""A uuid after a double space starts with a space: it then matches nothing."""
_LIST = re.compile(rb"(?! )(?:(?: +[^ :]*|[^ :]+):[^ ]+(?: |\Z))*+")
"""A line that has elements only. Whoever can push can make one of megabytes: it is read in
one pass, without cutting the elements off one by one."""


class Proxied(NamedTuple):
    """A repository behind a gateway, under the name the gateway's git config uses."""

    uuid: UUID
    name: bytes


def is_legal_name(name: bytes) -> bool:
    """Whether a remote may be proxied under ``name``."""
    return _LEGAL.match(name) is not None


def proxied_by(content: bytes) -> dict[UUID, tuple[Proxied, ...]]:
    """Each gateway's newest list, sorted by uuid, without entries of illegal names."""
    return {
        UUID(field): tuple(
            sorted(p for p in _elements(entry.value) if is_legal_name(p.name))
        )
        for field, entry in parse_map(content, Form.NEW, _readable).items()
    }


def with_proxied(
    content: bytes, gateway: UUID, entries: Iterable[Proxied], candidate: Clock
) -> bytes | None:
    """proxy.log with a new list for the gateway, None if it has that already.

    An empty list stays as a line. Raises ValueError for a name or uuid that a line cannot
    hold.
    """
    listed = sorted(set(entries))
    if not all(is_safe_uuid(one.uuid) and is_legal_name(one.name) for one in listed):
        raise ValueError("proxy.log cannot hold this name or uuid")
    value = b" ".join(b"%b:%b" % one for one in listed)
    return with_value(content, Form.NEW, gateway, value, candidate, _readable)


def _readable(entry: Entry) -> bool:
    # A malformed element voids its whole line, so an older line of the gateway counts.
    return _LIST.fullmatch(entry.value) is not None


def _elements(value: bytes) -> Iterator[Proxied]:
    for element in _ELEMENT.finditer(value):
        yield Proxied(UUID(element[1]), element[2])
