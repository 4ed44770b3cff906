"""Content on its way: a prefix already read, a descriptor, a count, and a verdict.

Payload bytes never pass through the parser. Whoever moves them counts them here, so that
at any moment, also after a failure, the remaining length is known: a server that gives up
on a request drains exactly that much and finds the next message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from enum import Enum
from typing import Protocol, TypeVar

import attrs

from annexshell.errors import PayloadShort

T = TypeVar("T")


class Validity(Enum):
    """What the sender says of its bytes once they are out (spec 01 §4.2)."""

    VALID = "VALID"
    INVALID = "INVALID"
    UNSAID = "unsaid"
    """A version 0 sender has no way to say it."""


async def _unsaid() -> Validity:
    return Validity.UNSAID


class Direct(Protocol):
    """The bytes of a payload in memory, where other receivers use them too.

    For whoever works on them in a thread, instead of the descriptor.
    """

    async def each(self, take: Callable[[memoryview], object]) -> None:
        """Give all bytes to ``take``, piece by piece and in order, in a thread.

        A piece is not to be kept, nor changed. Cancelling begins no other, and does not
        wait long for the one that is in work: it stays as it is until ``take`` is done.
        Raises PayloadShort, and what ``take`` raises.
        """

    def once(
        self,
        name: Hashable,
        make: Callable[[], tuple[T, Callable[[memoryview], object]]],
    ) -> T:
        """What all receivers share under ``name`` whose first byte is the same one.

        ``make`` makes it for the first of them, with a function that is given all bytes
        once, in a thread. It has had all of them when there is a verdict; otherwise, and if
        it failed, some are missing. To be called before `each`.
        """


@attrs.define(eq=False)
class Payload:
    """``length`` bytes that come from ``prefix`` first, then from ``descriptor``.

    ``position`` is the offset in bytes within a regular file, or None where the descriptor
    is a pipe or socket; ``ready`` returns when such a one has more, and raises PayloadShort
    where that takes too long (None: wait for ever). ``verdict`` may be awaited once, after
    the last byte. ``kept`` is set by the receiver when its peer said that it got everything.
    ``substitute`` is awaited where the source ends early, and told why: it makes the payload
    go on from another source, at the same byte, or returns False. ``direct`` is another way
    to the same bytes, if there is one.
    """

    length: int
    descriptor: int = -1
    prefix: bytes = b""
    position: int | None = None
    verdict: Callable[[], Awaitable[Validity]] = _unsaid
    source: str = "the sender"
    ready: Callable[[], Awaitable[None]] | None = None
    substitute: Callable[[PayloadShort], Awaitable[bool]] | None = None
    direct: Direct | None = None
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
