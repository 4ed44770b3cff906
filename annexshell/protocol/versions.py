"""Versions: which one is spoken, and what an older peer is told instead (spec 01 §4.3)."""

from __future__ import annotations

from annexshell.protocol import messages as m

_WITHOUT_PLUS: dict[type[m.Message], m.Message] = {
    m.SuccessPlus: m.Success(),
    m.FailurePlus: m.Failure(),
    m.AlreadyHavePlus: m.AlreadyHave(),
}


def agreed(asked: int) -> int:
    """The version a server answers to a client that asked for ``asked``."""
    return min(asked, m.NEWEST_VERSION)


def reduced(message: m.Message, version: int) -> m.Message:
    """``message`` as a peer of ``version`` can read it.

    A -PLUS reply would count as failure with a peer below version 2.
    """
    return message if version >= 2 else _WITHOUT_PLUS.get(type(message), message)
