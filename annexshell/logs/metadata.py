"""The metadata of a key: ``.log.met`` (spec 03 §2.1, §4.9).

Lines are ``CLOCK FIELD +VALUE -VALUE FIELD ...``: values that were set and unset. Of each
value of a field the newest sign counts.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from annexshell.logs.lines import lines_of
from annexshell.logs.location import location_path
from annexshell.model.clock import Clock, parse_clock
from annexshell.model.key import Key

_SIGNS = (b"+", b"-")


def metadata_path(key: Key, *, one_level: bool = False) -> bytes:
    """The branch path of the key's log. ``one_level`` is annex.tune.branchhash1."""
    return location_path(key, one_level=one_level) + b".met"


def current_metadata(content: bytes) -> dict[str, frozenset[str]]:
    """The values that each field has; names of fields are in lower case."""
    newest: dict[tuple[str, str], tuple[Clock, bool]] = {}
    for line in lines_of(content):
        stamp, _, rest = line.partition(b" ")
        clock = parse_clock(stamp)
        if clock is None:
            continue
        for field, value, is_set in _changes(rest):
            entry = (clock, is_set)
            if entry >= newest.get((field, value), entry):
                newest[field, value] = entry
    found: dict[str, set[str]] = {}
    for (field, value), (_, is_set) in newest.items():
        if is_set:
            found.setdefault(field, set()).add(value)
    return {field: frozenset(values) for field, values in found.items()}


def _changes(text: bytes) -> Iterator[tuple[str, str, bool]]:
    """The field, the value, and whether it is set, of each change in a line."""
    field: str | None = None
    for word in text.split(b" "):
        if not word.startswith(_SIGNS):
            field = _text(word).lower()
            continue
        value = _value(word[1:])
        if field is None or value is None:
            field = None
            continue
        yield field, value, word.startswith(b"+")


def _value(word: bytes) -> str | None:
    """The value, None if it is no Base64: nothing more is read of that field then."""
    if not word.startswith(b"!"):
        return _text(word)
    try:
        return _text(base64.b64decode(word[1:], validate=True))
    except binascii.Error:
        return None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
