"""The metadata of a key: ``.log.met`` (spec 03 §2.1, §4.9).

Lines are ``CLOCK FIELD +VALUE -VALUE FIELD ...``: values that were set and unset. Of each
value of a field the newest sign counts.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from annexshell.logs.lines import lines_of
from annexshell.logs.location import location_path
from annexshell.model.clock import Clock, parse_clock
from annexshell.model.key import Key

_SIGNS = (b"+", b"-")
_BASE64 = re.compile(
    rb"((?:[A-Za-z0-9+/]{4})*+(?:\Z|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)).*", re.DOTALL
)
"""As git-annex reads it: what follows the padding is ignored."""

_Changes = dict[tuple[str, str], bool]
"""Fields and values of a line, and whether they are set."""
_Names = list[tuple[str, list[bytes]]]
_Line = tuple[Clock, _Names, _Changes]


def metadata_path(key: Key, *, one_level: bool = False) -> bytes:
    """The branch path of the key's log. ``one_level`` is annex.tune.branchhash1."""
    return location_path(key, one_level=one_level) + b".met"


def current_metadata(content: bytes) -> dict[str, frozenset[str]]:
    """The values that each field has; names of fields are case-folded."""
    newest: dict[tuple[str, str], bool] = {}
    # What is said later counts. The sort keeps the order of lines that are equal in it.
    for _, _, changes in sorted(_lines(content), key=lambda line: line[:2]):
        newest |= changes
    found: dict[str, set[str]] = {}
    for (field, value), is_set in newest.items():
        if is_set:
            found.setdefault(field, set()).add(value)
    return {field: frozenset(values) for field, values in found.items()}


def _lines(content: bytes) -> Iterator[_Line]:
    for line in lines_of(content):
        stamp, _, rest = line.partition(b" ")
        clock = parse_clock(stamp)
        if clock is not None:
            changes = {(field, value): told for field, value, told in _changes(rest)}
            yield clock, _names(changes), changes


def _names(changes: _Changes) -> _Names:
    """By which git-annex puts lines of one time into order, whatever they say of them."""
    found: dict[str, list[bytes]] = {}
    for field, value in sorted((field, _bytes(value)) for field, value in changes):
        found.setdefault(field, []).append(value)
    return list(found.items())


def _changes(text: bytes) -> Iterator[tuple[str, str, bool]]:
    """The field, the value, and whether it is set, of each change in a line.

    What follows a field and is no value begins a field, whatever it looks like. Nothing
    is read after what would have to be a field's name and is no UTF-8.
    """
    field: str | None = None
    for word in text.split(b" "):
        value = None if field is None else _value(word)
        if field is None or value is None:
            try:
                field = word.decode().casefold()
            except UnicodeDecodeError:
                return
        else:
            yield field, value, word.startswith(b"+")


def _value(word: bytes) -> str | None:
    """The value that is set or unset, None if the word is none."""
    if not word.startswith(_SIGNS):
        return None
    if word[1:2] != b"!":
        return _text(word[1:])
    encoded = _BASE64.fullmatch(word, 2)
    return None if encoded is None else _text(base64.b64decode(encoded[1]))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")
