"""Content on its way: a prefix already read, a descriptor, a count, and a verdict.

Payload bytes never pass through the parser. Whoever moves them counts them here, so that
at any moment, also after a failure, the remaining length is known: a server that gives up
on a request drains exactly that much and finds the next message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum

import attrs

from annexshell.errors import PayloadShort


class Validity(Enum):
    """What the sender says of its bytes once they are out (spec 01 §4.2)."""

    VALID = "VALID"
    INVALID = "INVALID"
    UNSAID = "unsaid"
    """A version 0 sender has no way to say it."""


async def _unsaid() -> Validity:
    return Validity.UNSAID


@attrs.define(eq=False)
class Payload:
    """``length`` bytes that come from ``prefix`` first, then from ``descriptor``.

    ``position`` is the offset in bytes within a regular file, or None where the descriptor
    is a pipe or socket; ``ready`` returns when such a one has more, and raises PayloadShort
    where that takes too long (None: wait for ever). ``verdict`` may be awaited once, after
    the last byte. ``kept`` is set by the receiver when its peer said that it got everything.
    ``substitute`` is awaited where the source ends early, and told why: it makes the payload
    go on from another source, at the same byte, or returns False.
    """

    length: int
    descriptor: int = -1
    prefix: bytes = b""
    position: int | None = None
    verdict: Callable[[], Awaitable[Validity]] = _unsaid
    source: str = "the sender"
    ready: Callable[[], Awaitable[None]] | None = None
    substitute: Callable[[PayloadShort], Awaitable[bool]] | None = None
    remaining: int = attrs.field(init=False)
    kept: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.remaining = self.length
        if len(self.prefix) > self.length:
            raise ValueError("a payload's prefix is longer than the payload")

    def take_prefix(self, limit: int) -> bytes:
        """At most ``limit`` of the bytes already read; the caller now owns them."""
        prefix, self.prefix = self.prefix[:limit], self.prefix[limit:]
        self.remaining -= len(prefix)
        return prefix

    def moved(self, count: int) -> None:
        """``count`` more bytes have left the descriptor."""
        self.remaining -= count
        if self.position is not None:
            self.position += count


def nothing(verdict: Validity) -> Payload:
    """The empty payload with a verdict known beforehand."""

    async def known() -> Validity:
        return verdict

    return Payload(0, verdict=known)
