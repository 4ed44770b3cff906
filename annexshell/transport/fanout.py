"""One payload for several receivers, in one pass over the bytes that come.

Each receiver has a pipe of its own, so that it sees an ordinary Payload and moves it as
it moves any other. Behind the pipes is one window in memory: what the fastest receiver
was given already and the slowest was not. One task reads, and writes what the pipes take;
a receiver that finds its pipe empty refills it from the window itself (`Payload.ready`).
So no task waits for a pipe, and it is known who waits for bytes.

The slowest receiver sets the pace, since memory is bounded and every node ought to get its
copy. One that is far too slow is given up: it kept others waiting for longer than its
patience, and for more than nine tenths of the time. That others wait is the condition, so
the last one and the fastest are never given up here; their own links' limits end them. How
fast the others could go is only seen while they have something to do, and each hides some
megabytes in the buffers of ssh and of the network. So a window that was full is read
into again when it is nearly empty, and it is larger than those buffers.
"""

from __future__ import annotations

import math
import os
from types import TracebackType

import attrs
import trio

from annexshell.errors import PayloadShort
from annexshell.model.duration import spell_duration
from annexshell.model.payload import Payload, Validity
from annexshell.transport import moving
from annexshell.transport.flow import widen
from annexshell.transport.syscalls import CHUNK
from annexshell.transport.window import Window

WINDOW = 16 << 20
"""Bytes that the fastest receiver may be ahead of the slowest."""

_SHARE = 0.9
"""Of the time since the first byte: who keeps the others waiting for more is too slow."""


@attrs.define(eq=False)
class Branch:
    """What one receiver gets of a Fan: made by `Fan.branch`.

    ``payload`` is the source's from byte ``skip`` on. ``scope`` goes around whatever the
    receiver does with it, and is cancelled when the branch is given up. ``given_up`` says
    why, and is empty if it was not.
    """

    name: str
    payload: Payload
    patience: float
    scope: trio.CancelScope
    given_up: str = attrs.field(init=False, default="")
    _fan: Fan
    _writing: int
    _skip: int
    _at: int = attrs.field(init=False)
    _held: float = attrs.field(init=False, default=0.0)
    _wake: trio.Event | None = attrs.field(init=False, default=None)
    _alive: bool = attrs.field(init=False, default=True)

    def __attrs_post_init__(self) -> None:
        self._at = self._skip

    def close(self) -> None:
        """The receiver is done, whatever came of it; twice is harmless.

        To be called when it leaves its scope, at the latest before the Fan's end is waited
        for. Its payload is of no use from then on.
        """
        self.stop()
        if self.payload.descriptor >= 0:
            os.close(self.payload.descriptor)
            self.payload.descriptor = -1

    # -- for the Fan ----------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether it still wants bytes, or the verdict."""
        return self._alive

    @property
    def waits(self) -> bool:
        """Whether its receiver was kept waiting after it has begun to take bytes."""
        return self._alive and self._wake is not None and self._at > self._skip

    @property
    def complete(self) -> bool:
        """Whether all of its bytes were handed over."""
        return self._at - self._skip >= self.payload.length

    @property
    def _in_pipe(self) -> int:
        return self._at - self._skip - (self.payload.length - self.payload.remaining)

    def lag(self, head: int) -> int:
        """Bytes that were read from the source, and are to be written to it."""
        return max(head - self._at, 0) if self._alive else 0

    def push(self, window: Window) -> None:
        """Write what the pipe takes now; never waits."""
        while self._alive and self._at < window.head:
            try:
                self._at += os.write(self._writing, window.after(self._at))
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
        self._alive = False
        self.scope.cancel()
        self._fan.left()

    def stop(self) -> None:
        """Nothing more is written; the receiver sees the end of the pipe."""
        self._alive = False
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1
        self.wake()
        self._fan.left()

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


class Fan:
    """Hands ``source`` out to its branches.

        with Fan(payload, patience=60) as fan:
            branches = [fan.branch(intake.offset - least, name) for ...]
            each in a task of its own:
                with branch.scope:
                    await intake.accept(branch.payload)
                branch.close()      in any case
            await fan.run()

    ``patience`` is how many seconds one branch may keep the others waiting. Leaving the
    block closes all branches.
    """

    def __init__(
        self, source: Payload, *, window: int = WINDOW, patience: float
    ) -> None:
        self._source = source
        self._window = Window(max(min(window, source.length), 1))
        self._piece = max(min(CHUNK, self._window.size // 4), 1)
        self._patience = patience
        self._branches: list[Branch] = []
        self._begun = math.inf
        self._far = 0
        self._stirred = trio.Event()
        self._reading = trio.CancelScope()
        self._asked = False
        self._told = trio.Event()
        self._verdict: Validity | None = None
        self._failure: Exception | None = None

    def branch(self, skip: int, name: str, patience: float | None = None) -> Branch:
        """The source from byte ``skip`` on, for the receiver ``name``; before `run`.

        Raises ValueError if ``skip`` is negative, and OSError.
        """
        if skip < 0:
            raise ValueError("a branch begins before its source")
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._source.length > moving.SMALL:
            # What users may have in wide pipes is limited, and this would be most of it.
            widen(writing)
        payload = Payload(
            max(self._source.length - skip, 0), reading, source=self._source.source
        )
        patience = self._patience if patience is None else patience
        scope = trio.CancelScope()
        branch = Branch(name, payload, patience, scope, self, writing, skip)
        payload.ready, payload.verdict = branch.ready, branch.verdict
        self._branches.append(branch)
        return branch

    async def run(self) -> None:
        """Read the source, hand it out, and ask for its verdict once a branch does.

        Returns when the verdict is known or no branch is left; what is then unread is in
        ``source.remaining``. Receivers may still be at work. What the verdict raised, the
        branches raise that asked for it.

        Raises PayloadShort, when all branches have what came: each raises it in its own
        turn, for which it must not be cancelled.
        """
        try:
            with trio.CancelScope() as self._reading:
                await self._hand_out()
            while self._alive and not self._asked:
                await self._stir()
            if self._alive:
                await self._ask()
        except PayloadShort as error:
            with trio.move_on_after(self._patience):
                await self._catch_up(0)
            # Without its traceback, which holds the window.
            self._failure = type(error)(**error.fields)
            raise
        finally:
            self._end()

    def close(self) -> None:
        """Close all branches; twice is harmless."""
        for branch in self._branches:
            branch.close()
        self._end()

    def __enter__(self) -> Fan:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- reading and handing out ------------------------------------------------------------

    @property
    def _alive(self) -> list[Branch]:
        return [branch for branch in self._branches if branch.alive]

    def _most(self) -> int:
        """How far the slowest is behind, in bytes."""
        head = self._window.head
        return max((branch.lag(head) for branch in self._branches), default=0)

    async def _hand_out(self) -> None:
        source, window = self._source, self._window
        while source.remaining and self._alive:
            if self._most() + self._piece > window.size:
                await self._catch_up(window.size // 8)
                continue
            room = window.room(window.head - self._most(), self._piece)
            await moving.fill(source, room, self._arrived)
            # Where neither side has to be waited for, the receivers still have their turn.
            await trio.lowlevel.checkpoint()
        await self._catch_up(0)

    def _arrived(self, piece: memoryview) -> None:
        if self._begun == math.inf:
            self._begun = trio.current_time()
        self._window.head += len(piece)
        for branch in self._branches:
            branch.push(self._window)

    def refill(self, branch: Branch) -> None:
        """A receiver found its pipe empty."""
        branch.push(self._window)
        if branch.lag(self._window.head) <= self._far:
            self.stirred()

    def stirred(self) -> None:
        """Something happened that the reader may wait for."""
        self._stirred.set()

    def left(self) -> None:
        """One branch less, which may have been the last."""
        self.stirred()
        if not self._alive:
            self._reading.cancel()

    async def _stir(self) -> None:
        self._stirred = trio.Event()
        await self._stirred.wait()

    async def _catch_up(self, far: int) -> None:
        """Return when no branch is behind by more than ``far`` bytes.

        Who is too slow is given up, which is one way of catching up.
        """
        self._far, head = far, self._window.head
        while behind := [one for one in self._branches if one.lag(head) > far]:
            begun = trio.current_time()
            slow = behind if self._kept_waiting else []
            due = [(one, one.due(self._begun)) for one in slow]
            with trio.move_on_at(min((when for _, when in due), default=math.inf)):
                await self._stir()
            now = trio.current_time()
            for one, when in due:
                one.held_up(now - begun)
                if when <= now and one.lag(head) > far and self._kept_waiting:
                    time = spell_duration(one.patience)
                    one.give_up(f"it kept the others waiting for more than {time}")

    @property
    def _kept_waiting(self) -> bool:
        """Whether somebody could take more than there is."""
        return any(branch.waits for branch in self._branches)

    # -- the verdict --------------------------------------------------------------------------

    async def verdict(self, branch: Branch) -> Validity:
        """What the source says of its bytes, once they are out.

        Raises what the source's verdict raised, and PayloadShort where the branch did not
        get all its bytes.
        """
        self._asked = True
        self.stirred()
        while not self._told.is_set():
            await branch.wait()
        if self._failure is not None:
            raise self._failure
        if self._verdict is None or not branch.complete:
            missing = max(self._source.remaining, branch.payload.remaining)
            raise PayloadShort(name=self._source.source, missing=missing)
        return self._verdict

    async def _ask(self) -> None:
        """In the reader's task: a receiver that is cancelled takes it from nobody."""
        try:
            self._verdict = await self._source.verdict()
        except Exception as error:
            self._failure = error
            if not self._alive:
                raise

    def _end(self) -> None:
        self._told.set()
        for branch in self._branches:
            branch.stop()
        self._window.forget()
