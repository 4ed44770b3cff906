"""Equivalent keys of VURL keys: ``.log.ek`` (spec 02 §3.3, spec 03 §2.1, §4.9).

Lines are those of a location log, with a key in the place of the uuid.
"""

from __future__ import annotations

from annexshell.errors import MalformedKey
from annexshell.logs.location import holders, location_path
from annexshell.model.key import Key


def equivalent_path(key: Key, *, one_level: bool = False) -> bytes:
    """The branch path of the key's log. ``one_level`` is annex.tune.branchhash1."""
    return location_path(key, one_level=one_level) + b".ek"


def equivalent_keys(content: bytes) -> frozenset[Key]:
    """The keys that the log says have the same content; what is no key is skipped.

    VURL keys are as well: their equivalents may be named here in their own right.
    """
    found = (_parse(text) for text in holders(content))
    return frozenset(key for key in found if key and key.backend != b"VURL")


def _parse(text: bytes) -> Key | None:
    try:
        return Key.parse(text)
    except MalformedKey:
        return None
