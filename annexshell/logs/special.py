"""remote.log: the settings of special remotes (spec 03 §4.6).

Values may be credentials and keys: what is read here is for decisions, never for output.
"""

from __future__ import annotations

import re

from annexshell.logs.mapped import Form, parse_map
from annexshell.model.ids import UUID

_ESCAPED = re.compile(r"&([0-9]{1,7});")
_LAST_CODE_POINT = 0x10FFFF


def special_remotes(content: bytes) -> dict[UUID, dict[str, str]]:
    """Each special remote's settings by name; of a name that is there twice the last."""
    return {
        UUID(field): dict(_setting(word) for word in _words(entry.value))
        for field, entry in parse_map(content, Form.OLD).items()
    }


def _words(value: bytes) -> list[str]:
    return value.decode("utf-8", "surrogateescape").split()


def _setting(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, _ESCAPED.sub(_decoded, value)


def _decoded(found: re.Match[str]) -> str:
    # git-annex stops at a code point that does not exist; it is kept as it stands.
    number = int(found[1])
    return chr(number) if number <= _LAST_CODE_POINT else found[0]
