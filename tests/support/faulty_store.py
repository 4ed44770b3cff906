"""A Store that fails to order, around one that does not.

What it does wrong is its `Faults`, which may change at any moment, also in the middle of a
request. Whatever it does, it keeps what a gateway may rely on with every node: where it
hangs, it fails after a bounded time, as `remotes.peer` makes it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from annexshell.errors import (
    PayloadStalled,
    PeerFailed,
    PeerRefused,
    PeerUnreachable,
    StorageFailed,
)
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity, nothing
from annexshell.remotes.limits import NodeLimits
from annexshell.store import AlreadyHave, HeldLock, Intake, Outcome
from annexshell.transport import moving
from tests.support.memory_store import MemoryStore

_FEW, _MANY = 7, 1 << 16
"""Bytes of a payload that are looked at together, of a small one and a large one."""

_LONGEST = 20.0
"""Seconds for such a piece at most."""


@attrs.define
class Faults:
    """What is wrong; all of it at once, as far as that can be.

    ``hangs`` and ``loses`` hold the words of requests: one that hangs says nothing until
    the limit is over; one that loses does what was asked, and its answer never comes.
    ``dies_at`` is the byte of the content, counted from its start, behind which the
    connection ends, in either direction; ``stalls_at`` the one behind which it is silent.
    ``rate`` is in bytes a second, ``late`` the seconds that question and answer travel. ``old`` is a node below version 3,
    without a clock that it tells of.

    The rest are lies. ``rots``: wrong bytes that it calls valid. ``short``: so many bytes
    less than there are. ``claims``: repositories that it names as if it were true of them
    too. ``pretends``: to have, to have stored and to have removed what it has not.
    """

    unreachable: bool = False
    refuses: bool = False
    full: bool = False
    hangs: frozenset[str] = frozenset()
    loses: frozenset[str] = frozenset()
    dies_at: int | None = None
    stalls_at: int | None = None
    rate: float = 0
    late: float = 0
    old: bool = False
    rots: bool = False
    short: int = 0
    claims: tuple[UUID, ...] = ()
    pretends: bool = False

    @property
    def lies(self) -> bool:
        return bool(self.rots or self.short or self.claims or self.pretends)

    @property
    def any(self) -> bool:
        return self != Faults()

    def become(self, other: Faults) -> None:
        """Be as ``other`` from now on."""
        for field in attrs.fields(Faults):
            setattr(self, field.name, getattr(other, field.name))


@attrs.define
class NodeClock:
    """A node's own clock, which starts again from zero when it boots."""

    offset: float = 1000.0
    boots: int = 0

    def now(self) -> int:
        """Whole seconds."""
        return int(self.offset + trio.current_time())

    def boot(self) -> None:
        self.offset = -trio.current_time()
        self.boots += 1


@attrs.define
class Watched:
    """Told of what really happens at a node, and of what it says against the truth."""

    removed: Callable[[Key], None] = lambda key: None
    unsaid: Callable[[Key], None] = lambda key: None
    """Content went, and the answer that says so was lost."""
    lied: Callable[[Key], None] = lambda key: None


@attrs.define(eq=False)
class FaultyStore:
    """``inner`` as a session sees it that reaches it through ``faults``.

    ``calls`` are the requests that came through, in order.
    """

    name: str
    inner: MemoryStore
    faults: Faults = attrs.field(factory=Faults)
    limits: NodeLimits = attrs.field(factory=NodeLimits)
    clock: NodeClock = attrs.field(factory=NodeClock)
    watched: Watched = attrs.field(factory=Watched)
    calls: list[tuple[str, Key | None]] = attrs.field(factory=list)
    _stamped: int = attrs.field(init=False, default=-1)

    # -- what every request begins and ends with -----------------------------------------

    async def _begin(self, word: str, key: Key | None, limit: float) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        self.calls.append((word, key))
        if word in self.faults.hangs:
            await self.silent(limit)
        await trio.sleep(min(self.faults.late, limit) / 2)
        self._check()
        if self.faults.refuses:
            raise PeerRefused(detail=f"{self.name} will not")

    async def _end(self, word: str, limit: float) -> None:
        if self.faults.late > limit:
            await self.silent(limit)
        await trio.sleep(self.faults.late / 2)
        if word in self.faults.loses:
            raise PeerFailed(name=self.name, detail="the connection ended")
        self._check()

    def _check(self) -> None:
        if self.faults.unreachable:
            raise PeerUnreachable(name=self.name, detail="no route to host")
        self.inner.now = self.clock.now()

    async def silent(self, limit: float) -> None:
        await trio.sleep(limit)
        raise PeerFailed(name=self.name, detail=f"was silent for {limit:g} seconds")

    # -- the requests --------------------------------------------------------------------

    async def present(self, key: Key) -> bool:
        await self._begin("present", key, self.limits.answer)
        there = await self.inner.present(key)
        if self.faults.pretends and not there:
            self.watched.lied(key)
            there = True
        await self._end("present", self.limits.answer)
        return there

    @asynccontextmanager
    async def lock(self, key: Key) -> AsyncIterator[HeldLock | None]:
        await self._begin("lock", key, self.limits.answer)
        async with self.inner.lock(key) as held:
            await self._end("lock", self.limits.answer)
            yield held

    async def timestamp(self) -> int:
        await self._begin("timestamp", None, self.limits.answer)
        if self.faults.old:
            raise PeerRefused(detail="unknown command")
        now = await self.inner.timestamp()
        self._stamped = self.clock.boots
        await self._end("timestamp", self.limits.answer)
        return now

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        await self._begin("remove", key, self.limits.removal)
        if before is not None and (
            self.faults.old or self._stamped != self.clock.boots
        ):
            return Outcome(False, reason=f"{self.name} cannot keep the limit")
        if self.faults.pretends:
            self.watched.lied(key)
            return Outcome(True, self.faults.claims)
        had = key in self.inner.contents
        outcome = await self.inner.remove(key, before)
        went = had and key not in self.inner.contents
        if went:
            self.watched.removed(key)
        try:
            await self._end("remove", self.limits.removal)
        except BaseException:
            if went:
                self.watched.unsaid(key)
            raise
        return attrs.evolve(outcome, others=self.faults.claims)

    @asynccontextmanager
    async def get(self, key: Key, offset: int, name: bytes) -> AsyncIterator[Payload]:
        limit = self.limits.turn(key.size)
        await self._begin("get", key, limit)
        content = self.inner.contents.get(key)
        await self._end("get", limit)
        if content is None:
            yield nothing(Validity.INVALID)
            return
        if self.faults.rots or self.faults.short:
            self.watched.lied(key)
        fds: list[int] = []
        try:
            yield self._payload(content, offset, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _payload(self, content: bytes, offset: int, fds: list[int]) -> Payload:
        """The bytes from ``offset`` on, with what is wrong with them."""
        if self.faults.rots:
            content = bytes(byte ^ 1 for byte in content)
        content = content[: max(len(content) - self.faults.short, 0)]
        rest = content[offset:]
        stop = self._stop(len(content))
        came = rest if stop is None else content[offset : max(stop, offset)]
        if stop is None or stop != self.faults.stalls_at:
            fds.append(os.memfd_create("content"))
            os.write(fds[0], came)
            return Payload(
                len(rest), fds[0], position=0, verdict=_valid, source=self.name
            )
        fds += os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        return Payload(
            len(rest),
            fds[0],
            came,
            verdict=_valid,
            source=self.name,
            ready=self._never_ready,
        )

    def _stop(self, size: int) -> int | None:
        """The byte at which the connection fails, if it does so within the content."""
        stops = (self.faults.dies_at, self.faults.stalls_at)
        return min((at for at in stops if at is not None and at < size), default=None)

    async def _never_ready(self) -> None:
        await trio.sleep(self.limits.payload)
        raise PayloadStalled(name=self.name, time=f"{self.limits.payload:g}s")

    @asynccontextmanager
    async def put(
        self, key: Key, name: bytes
    ) -> AsyncIterator[FaultyIntake | AlreadyHave]:
        limit = self.limits.turn(key.size)
        await self._begin("put", key, limit)
        if self.faults.full:
            raise StorageFailed(action="writing", where=self.name, detail="disk full")
        async with self.inner.put(key, name) as intake:
            await self._end("put", limit)
            if isinstance(intake, AlreadyHave):
                yield AlreadyHave(self.faults.claims)
            elif self.faults.pretends:
                self.watched.lied(key)
                yield AlreadyHave(self.faults.claims)
            else:
                yield FaultyIntake(self, key, intake)


@attrs.define(eq=False)
class FaultyIntake:
    """The bytes that arrive are kept, whatever becomes of the connection."""

    store: FaultyStore
    key: Key
    inner: Intake

    @property
    def offset(self) -> int:
        return self.inner.offset

    async def accept(self, payload: Payload) -> Outcome:
        came = bytearray()

        async def take(piece: memoryview) -> None:
            await self._take(came, piece)

        try:
            size = _FEW if payload.length < 1000 else _MANY
            await moving.feed(payload, take, size)
            verdict = await payload.verdict()
            limit = self.store.limits.storing(self.key.size or 0)
            if "accept" in self.store.faults.hangs:
                await self.store.silent(limit)
        except BaseException:
            self._keep(came)
            raise
        return await self._finish(bytes(came), verdict, limit)

    async def _take(self, came: bytearray, piece: memoryview) -> None:
        faults = self.store.faults
        if faults.rate:
            await trio.sleep(min(len(piece) / faults.rate, _LONGEST))
        stop = self.store._stop(self.offset + len(came) + len(piece) + 1)
        if stop is None:
            came += piece
            return self.store._check()
        came += piece[: max(0, stop - self.offset - len(came))]
        if stop == faults.stalls_at:
            await self.store.silent(self.store.limits.payload)
        raise PeerFailed(name=self.store.name, detail="the connection ended")

    def _keep(self, came: bytearray) -> None:
        partial = self.store.inner.partial
        partial[self.key] = partial.get(self.key, b"") + came

    async def _finish(self, came: bytes, verdict: Validity, limit: float) -> Outcome:
        faults = self.store.faults
        if faults.full:
            raise StorageFailed(
                action="writing", where=self.store.name, detail="disk full"
            )
        fd = os.memfd_create("content")
        try:
            os.write(fd, came)
            said = _saying(verdict)
            payload = Payload(len(came), fd, position=0, verdict=said)
            outcome = await self.inner.accept(payload)
        finally:
            os.close(fd)
        await self.store._end("accept", limit)
        return attrs.evolve(outcome, others=faults.claims)

    async def adopt(self) -> Outcome:
        limit = self.store.limits.storing(0)
        await self.store._begin("adopt", self.key, limit)
        outcome = await self.inner.adopt()
        await self.store._end("adopt", limit)
        return attrs.evolve(outcome, others=self.store.faults.claims)


def _saying(verdict: Validity) -> Callable[[], Awaitable[Validity]]:
    async def said() -> Validity:
        return verdict

    return said


_valid = _saying(Validity.VALID)
