"""What one receiver gets of a fan-out: through a pipe, or straight from the window.

Whoever asks for a descriptor gets a pipe, and sees an ordinary Payload. Who can work in a
thread takes the bytes from memory (`Direct`): nothing is copied for it, and if what it
does hangs, only its thread does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeVar, cast

import attrs
import trio

from annexshell.errors import PayloadShort
from annexshell.model.payload import Payload, Validity
from annexshell.transport import syscalls
from annexshell.transport.feeding import Feed, Take
from annexshell.transport.flow import widen
from annexshell.transport.moving import SMALL
from annexshell.transport.window import Window

if TYPE_CHECKING:
    from annexshell.transport.fanout import Fan

_SHARE = 0.9
"""Of the time since the first byte: who keeps the others waiting for more is too slow."""
_GRACE = 1.0
"""Seconds for a thread to come back before a receiver leaves without it."""

T = TypeVar("T")


class Piped(Payload):
    """A payload whose pipe is made when somebody asks for it."""

    __slots__ = ("_pipe", "make")

    make: Callable[[], int] | None

    @property
    def descriptor(self) -> int:
        if self.make is not None:
            make, self.make = self.make, None
            self._pipe = make()
        return self._pipe

    @descriptor.setter
    def descriptor(self, descriptor: int) -> None:
        self._pipe = descriptor
        self.make = None


@attrs.define(eq=False)
class Branch:
    """What one receiver gets of a Fan: made by `Fan.branch`; its payload's `Direct`.

    ``payload`` is the source's from byte ``skip`` on. ``scope`` goes around whatever the
    receiver does with it, and is cancelled when the branch is given up. ``given_up`` says
    why, and is empty if it was not.
    """

    name: str
    payload: Piped
    patience: float
    scope: trio.CancelScope
    given_up: str = attrs.field(init=False, default="")
    _fan: Fan
    _skip: int
    _writing: int = attrs.field(init=False, default=-1)
    _feed: Feed | None = attrs.field(init=False, default=None)
    _written: int = attrs.field(init=False, default=0)
    _held: float = attrs.field(init=False, default=0.0)
    _wake: trio.Event | None = attrs.field(init=False, default=None)
    _alive: bool = attrs.field(init=False, default=True)

    def close(self) -> None:
        """The receiver is done, whatever came of it; twice is harmless.

        To be called when it leaves its scope, at the latest before the Fan's end is waited
        for. Its payload is of no use from then on.
        """
        self.stop()
        self.payload.make = None
        if self.payload.descriptor >= 0:
            os.close(self.payload.descriptor)
            self.payload.descriptor = -1

    # -- for a receiver that takes its bytes from memory -----------------------------------

    async def each(self, take: Take) -> None:
        """See `Direct.each`."""
        if not self.payload.length:
            return
        threaded = self._fan.length > SMALL
        feed = self._feed = Feed(take, self._has_news, threaded=threaded)
        feed.goal, feed.watched = self.payload.length, self._fan.watching
        try:
            # What came before is not to wait for more, which may take long to come.
            self._fan.refill(self, 1)
            while feed.done < feed.goal and feed.failure is None:
                if not self._alive:
                    raise PayloadShort(
                        name=self.payload.source, missing=self.payload.remaining
                    )
                self._fan.refill(self)
                await self.wait()
            if feed.failure is not None:
                raise feed.failure
        finally:
            feed.stop()
            # In good order there is nothing to wait for.
            if feed.busy:
                with trio.move_on_after(_GRACE, shield=True):
                    await feed.settled()

    def once(self, name: Hashable, make: Callable[[], tuple[T, Take]]) -> T:
        """See `Direct.once`."""
        return cast(T, self._fan.tap(self, (self._skip, name), make))

    def _has_news(self) -> None:
        self._count()
        self._fan.refill(self)
        feed = self._feed
        if feed is None or feed.ended or feed.done >= feed.goal:
            self.wake()

    def _count(self) -> None:
        """Have the payload know what was taken."""
        if self._feed is not None:
            self.payload.remaining = self.payload.length - self._feed.done

    # -- for the Fan ----------------------------------------------------------------------

    @property
    def skip(self) -> int:
        """The source's byte that is its first."""
        return self._skip

    @property
    def alive(self) -> bool:
        """Whether it still wants bytes, or the verdict."""
        return self._alive

    @property
    def piped(self) -> bool:
        return self._writing >= 0

    @property
    def feed(self) -> Feed | None:
        return self._feed

    @property
    def waits(self) -> bool:
        """Whether its receiver was kept waiting after it has begun to take bytes."""
        if self._feed is not None and self._feed.busy:
            return False
        return self._alive and self._wake is not None and self._taken > 0

    @property
    def complete(self) -> bool:
        """Whether all of its bytes were handed over."""
        return self._taken >= self.payload.length

    @property
    def _taken(self) -> int:
        return self._written if self._feed is None else self._feed.done

    @property
    def _in_pipe(self) -> int:
        return self._written - (self.payload.length - self.payload.remaining)

    def lag(self, head: int) -> int:
        """Bytes that were read from the source, and are to be handed to it."""
        return max(head - self._skip - self._taken, 0) if self._alive else 0

    def due_next(self, head: int) -> bool:
        """Whether it is to have the byte at ``head``, sooner or later."""
        return self._alive and not self.complete and self._skip <= head

    def level(self, head: int) -> bool:
        """Whether its pipe got all that was read, and is to have what comes next."""
        due = self.piped and self.due_next(head)
        return due and self._skip + self._written == head

    def wants(self, head: int, little: int) -> bool:
        """Whether it has nothing left, or in memory no more than ``little``."""
        if self.piped:
            little = 0
        due = self.due_next(head) and not self.unread
        return due and self.lag(head) <= little

    @property
    def undecided(self) -> bool:
        """Whether its receiver has not said yet how it takes its bytes."""
        return self._alive and not self.piped and self._feed is None

    @property
    def unread(self) -> int:
        """Bytes in its pipe."""
        return self._in_pipe if self.piped else 0

    def share(self, source: int, limit: int) -> int:
        """Let its pipe have what will be read next from ``source``, a pipe.

        At most ``limit`` bytes. As `syscalls.tee`; only for one that is `level`.
        """
        count = syscalls.tee(source, self._writing, limit)
        self._written += count
        return count

    def push(self, window: Window, least: int) -> None:
        """Hand over what it takes now, to a thread only if it is worth it; never waits."""
        if not self._alive:
            return
        if self._feed is not None:
            self._feed.follow(window, self._skip, least)
        elif self._writing >= 0:
            self._write(window)

    def _write(self, window: Window) -> None:
        while self._alive and self._skip + self._written < window.head:
            try:
                piece = window.after(self._skip + self._written)
                self._written += os.write(self._writing, piece)
            except BlockingIOError:
                break
            except OSError as error:
                self.give_up(f"its pipe failed: {error.strerror}")
        if self._in_pipe:
            self.wake()

    async def wait(self) -> None:
        """Return at `wake`; the branch counts as waiting until then."""
        self._wake = trio.Event()
        try:
            await self._wake.wait()
        finally:
            self._wake = None

    def wake(self) -> None:
        """Let the receiver look again."""
        if self._wake is not None:
            self._wake.set()

    def due(self, begun: float) -> float:
        """When it is too slow if others wait for it until then; ``begun`` as the clock."""
        now = trio.current_time()
        share = (_SHARE * (now - begun) - self._held) / (1 - _SHARE)
        return now + max(self.patience - self._held, share, 0)

    def held_up(self, seconds: float) -> None:
        """Others waited for it for so long."""
        self._held += seconds

    def give_up(self, why: str) -> None:
        """Free the receiver, which may wait for a link that takes nothing.

        The pipe stays open until it has left: its end would look like the source's failure.
        """
        self.given_up = why
        self._leave()
        self.scope.cancel()
        self._fan.left()

    def stop(self) -> None:
        """Nothing more is handed over; the receiver sees the end of the pipe."""
        self._leave()
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1
        self.wake()
        self._fan.left()

    def _leave(self) -> None:
        self._alive = False
        self._count()
        if self._feed is not None:
            self._feed.stop()
            if self._feed.busy:
                self._fan.lend()

    def open(self) -> int:
        """The reading end of its pipe; -1 if it was stopped. Raises OSError."""
        if not self._alive:
            return -1
        reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fan.length > SMALL:
            # What users may have in wide pipes is limited, and this would be most of it.
            widen(self._writing)
        self._fan.stirred()
        return reading

    async def ready(self) -> None:
        """The payload's ``ready``: refill the pipe, or wait until there is more."""
        while self._writing >= 0:
            self._fan.refill(self)
            if self._in_pipe:
                return
            self._fan.stirred()
            await self.wait()

    async def verdict(self) -> Validity:
        """The payload's ``verdict``: the source's, for all alike."""
        return await self._fan.verdict(self)


class Tap:
    """What some branches share that begin at the same byte: fed once, for all of them."""

    def __init__(self, fan: Fan, skip: int, shared: object, take: Take) -> None:
        self.shared = shared
        self._skip = skip
        self._users: list[Branch] = []
        self.feed = Feed(take, fan.fed, threaded=fan.length > SMALL)
        self.feed.watched = fan.watching

    def use(self, branch: Branch) -> None:
        self._users.append(branch)

    @property
    def alive(self) -> bool:
        """Whether anybody still wants it."""
        if self.feed.failure is not None or self.feed.ended:
            return False
        return any(branch.alive for branch in self._users)

    def lag(self, head: int) -> int:
        """As `Branch.lag`."""
        return max(head - self._skip - self.feed.done, 0) if self.alive else 0

    def push(self, window: Window, least: int) -> None:
        """As `Branch.push`."""
        if self.alive:
            self.feed.follow(window, self._skip, least)
