"""What all logs have in common: how a text is split into lines (spec 03 §3.1)."""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"[\r\n]+")


def lines_of(content: bytes) -> list[bytes]:
    """The lines that are not empty, without their ends, in the order of the text."""
    if b"\r" not in content:
        # Nobody writes any, and without them it takes no regular expression.
        return [line for line in content.split(b"\n") if line]
    return [line for line in _LINE_END.split(content) if line]
