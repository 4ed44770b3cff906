"""Preferred content as it is recorded: texts by repository or by group (spec 03 §4.3).

preferred-content.log and required-content.log are of the old form, by uuid;
group-preferred-content.log is of the new form, by group. Nothing here looks into a text:
one that cannot be parsed must stay as it is. Text and names of groups are decoded from
UTF-8; bytes that are none are kept as surrogates.
"""

from __future__ import annotations

import re
from typing import Literal, overload

from annexshell.logs.mapped import Form, parse_map, with_value
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID

_LINE_ENDS = re.compile(rb"[\r\n]+")


@overload
def expressions(content: bytes, form: Literal[Form.OLD]) -> dict[UUID, str]: ...


@overload
def expressions(content: bytes, form: Literal[Form.NEW]) -> dict[str, str]: ...


def expressions(content: bytes, form: Form) -> dict[UUID, str] | dict[str, str]:
    """The expression of each repository (old form) or group (new form) that has a line.

    An empty text says that there is none.
    """
    found = parse_map(content, form)
    if form is Form.OLD:
        return {UUID(field): _text(entry.value) for field, entry in found.items()}
    return {_text(field): _text(entry.value) for field, entry in found.items()}


def with_expression(
    content: bytes, form: Form, subject: bytes, text: str, candidate: Clock
) -> bytes | None:
    """The log with a new expression for a uuid or a group, None if it has that already.

    A line cannot hold the end of one, which becomes a space: to an expression they are the
    same. Raises ValueError for a subject that a line cannot hold.
    """
    value = _LINE_ENDS.sub(b" ", text.encode("utf-8", "surrogateescape"))
    return with_value(content, form, subject, value, candidate)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
