"""One payload for several receivers, in one pass over the bytes that come.

In memory is one window: what the fastest receiver was given already and the slowest was
not. One task reads, and hands out what the receivers take (`transport/branch.py`). Those
that store here work on the window itself, in a thread each, and one thread hashes for all
of them. Each other one has a pipe of its own, so that it sees an ordinary Payload and
moves it as it moves any other; one that finds its pipe empty refills it from the window
itself (`Payload.ready`). So no task waits for a pipe, and it is known who waits for bytes.

The slowest receiver sets the pace, since memory is bounded and every node ought to get its
copy. One that is far too slow is given up: it kept others waiting for longer than its
patience, and for more than nine tenths of the time. That others wait is the condition, so
the last one and the fastest are never given up here; their own links' limits end them. How
fast the others could go is only seen while they have something to do, and each hides some
megabytes in the buffers of ssh and of the network. So a window that was full is read
into again when it is nearly empty, and it is larger than those buffers.

Where the source is a pipe too, pipes share its pages, if they have all that was read
before (`transport/sharing.py`). What they have no room for has to go by the window, so
nothing is read before somebody has nothing left.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType

import trio

from annexshell.errors import PayloadShort
from annexshell.model.duration import spell_duration
from annexshell.model.payload import Payload, Validity
from annexshell.transport import moving
from annexshell.transport.branch import Branch, Piped, Tap
from annexshell.transport.feeding import Take
from annexshell.transport.sharing import Sharing
from annexshell.transport.syscalls import CHUNK
from annexshell.transport.window import Window

WINDOW = 16 << 20
"""Bytes that the fastest receiver may be ahead of the slowest."""

NARROW = 2 << 20
"""The same where all of them take their bytes from memory: nothing hides any."""

DEAD = 600.0
"""Seconds after which a thread that has done nothing is not waited for, if there are others:
no link's limit ends a disk that hangs, and nobody else may have anything to do yet."""

_RESTS = 0.1
"""Seconds after which a thread is given even a little that came."""


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
        self._wide = max(min(window, source.length), 1)
        self._window = Window(min(NARROW, self._wide))
        self._patience = patience
        self._branches: list[Branch] = []
        self._taps: dict[Hashable, Tap] = {}
        self._sharing = Sharing(source, self._window, self._branches, self._taps)
        self._lent = False
        self._least = 1
        self._rested = -math.inf
        self.watching = False
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

        Raises ValueError if ``skip`` is negative.
        """
        if skip < 0:
            raise ValueError("a branch begins before its source")
        source = self._source
        payload = Piped(max(source.length - skip, 0), source=source.source)
        patience = self._patience if patience is None else patience
        branch = Branch(name, payload, patience, trio.CancelScope(), self, skip)
        payload.ready, payload.verdict = branch.ready, branch.verdict
        payload.make, payload.direct = branch.open, branch
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
        return max((one.lag(head) for one in self._all), default=0)

    @property
    def _all(self) -> list[Branch | Tap]:
        return [*self._branches, *self._taps.values()]

    async def _hand_out(self) -> None:
        source, found = self._source, self._source.ready
        ready = source.ready = None if found is None else partial(self._idle, found)
        try:
            while source.remaining and self._alive:
                await self._read()
                # Where neither side has to be waited for, the receivers still have their
                # turn.
                await trio.lowlevel.checkpoint()
        finally:
            if source.ready is ready:
                source.ready = found
        await self._catch_up(0)

    async def _idle(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Nothing more has come: what did may go to the threads, though it is little."""
        if trio.current_time() >= self._rested + _RESTS:
            self._rested = trio.current_time()
            self._push(1)
        await ready()

    async def _read(self) -> None:
        self._move()
        window = self._window
        fits = self._source.length <= window.size
        piece = min(CHUNK, window.size if fits else max(window.size // 4, 1))
        if self._most() + min(piece, self._source.remaining) > window.size:
            return await self._catch_up(window.size // (8 if self._piped else 2))
        read = self._sharing.read if self._sharing.possible else None
        if read is not None:
            await self._wanted(piece)
            # Meanwhile a thread may have been left alone with a part of the window.
            self._move()
        self._least = piece
        room = window.room(window.head - self._most(), piece)
        await moving.fill(self._source, room, self._arrived, read)

    async def _wanted(self, piece: int) -> None:
        """Return when a pipe is empty, or somebody has no more than ``piece`` in memory."""
        self._far = piece
        if self._sharing.early(piece):
            with self._watched():
                while self._sharing.early(piece):
                    await self._stir()

    @property
    def _piped(self) -> bool:
        return any(branch.piped for branch in self._branches)

    def _move(self) -> None:
        """Go on in other memory, if a thread that is waited for no more has a part of this
        one, or if there are pipes by now, behind which bytes hide."""
        size = self._wide if self._piped else self._window.size
        if self._lent or size != self._window.size:
            self._lent = False
            self._window.move(self._window.head - self._most(), size)

    def _arrived(self, piece: memoryview) -> None:
        if self._begun == math.inf:
            self._begun = trio.current_time()
        self._window.head += len(piece)
        self._push(self._least)

    def _push(self, least: int) -> None:
        for one in self._all:
            one.push(self._window, least)

    # -- for its branches -------------------------------------------------------------------

    @property
    def length(self) -> int:
        """Bytes of the source."""
        return self._source.length

    def tap(
        self, branch: Branch, name: Hashable, make: Callable[[], tuple[object, Take]]
    ) -> object:
        """What ``branch`` shares under ``name``; it has taken no byte yet."""
        tap = self._taps.get(name)
        if tap is None or not tap.alive:
            # One that nobody used for a while has missed something.
            tap = self._taps[name] = Tap(self, branch.skip, *make())
        tap.use(branch)
        if branch.alive:
            tap.push(self._window, 1)
        else:
            # It came after the end.
            tap.feed.stop()
        return tap.shared

    def lend(self) -> None:
        """A thread that is not waited for has a part of the window."""
        self._lent = True

    def fed(self) -> None:
        """The thread of a tap has done something."""
        self.stirred()

    def refill(self, branch: Branch, least: int | None = None) -> None:
        """A receiver found that it has nothing."""
        branch.push(self._window, self._least if least is None else least)
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

    # -- who is behind ----------------------------------------------------------------------

    async def _stir(self) -> None:
        self._stirred = trio.Event()
        await self._stirred.wait()

    async def _catch_up(self, far: int) -> None:
        """Return when no branch is behind by more than ``far`` bytes.

        Who is too slow is given up, which is one way of catching up.
        """
        self._far, head = far, self._window.head
        self._least = 1
        self._push(1)
        with self._watched():
            while any(one.lag(head) > far for one in self._all):
                await self._wait_for(head, far)

    async def _wait_for(self, head: int, far: int) -> None:
        """Wait for something to happen to those that are behind; some are given up."""
        behind = [one for one in self._branches if one.lag(head) > far]
        begun = trio.current_time()
        slow = behind if self._kept_waiting else []
        due = [(one, one.due(self._begun)) for one in slow]
        dead = [(one, one.feed.since + DEAD) for one in behind if one.feed is not None]
        with trio.move_on_at(min((when for _, when in due + dead), default=math.inf)):
            await self._stir()
        self._bury(dead)
        now = trio.current_time()
        for one, when in due:
            one.held_up(now - begun)
            if when <= now and one.lag(head) > far and self._kept_waiting:
                time = spell_duration(one.patience)
                one.give_up(f"it kept the others waiting for more than {time}")

    def _bury(self, dead: list[tuple[Branch, float]]) -> None:
        for one, when in dead:
            still = one.feed is not None and one.feed.since + DEAD == when
            if still and when <= trio.current_time():
                if one.alive and len(self._alive) > 1:
                    time = spell_duration(DEAD)
                    one.give_up(f"it stored nothing for more than {time}")
                elif one.feed is not None:
                    one.feed.since = trio.current_time()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A block in which each piece that a thread is done with is news."""
        self._watch(True)
        try:
            yield
        finally:
            self._watch(False)

    def _watch(self, watching: bool) -> None:
        # Also for those that begin while we wait.
        self.watching = watching
        for one in self._all:
            if one.feed is not None:
                one.feed.watched = watching
                one.feed.since = trio.current_time()

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
        for tap in self._taps.values():
            tap.feed.stop()
        self._sharing.close()
        self._window.forget()
