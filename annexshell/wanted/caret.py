"""A line of text with a mark under what is wrong in it."""

from __future__ import annotations

_BEFORE, _WIDTH = 30, 72
_CUT = "..."


def caret(text: str, offset: int, length: int) -> str:
    """``text`` around ``offset``, and ``^~~~`` under ``length`` characters of it.

    What a terminal might obey becomes a question mark, white space of any kind a space,
    so that one character stays one character. Long texts are cut.
    """
    start = max(0, offset - _BEFORE) if offset > _BEFORE + len(_CUT) else 0
    end = min(len(text), start + _WIDTH)
    shown = "".join(map(_harmless, text[start:end]))
    head, tail = _CUT if start else "", _CUT if end < len(text) else ""
    at = len(head) + offset - start
    room = max(1, min(length, end - offset))
    return f"{head}{shown}{tail}\n{' ' * at}^{'~' * (room - 1)}"


def _harmless(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else "?"
