"""Blocking work on content, in a thread of its own, while more of it comes.

A hand-over costs as much as hashing some twenty KiB. So the thread lives as long as the
transfer, takes its pieces from a queue, and wakes trio's thread only where that one waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

import trio

from annexshell.transport.syscalls import CHUNK
from annexshell.transport.window import Window

Take = Callable[[memoryview], object]


def _nobody_asked() -> None:
    """Who is told where `Feed.reached` is all that is waited for."""


class Feed:
    """Gives pieces to ``take``, one after the other, in a thread.

    All but ``take`` belongs to trio's thread. A piece must stay as it is until it is done,
    or, after `stop`, until the feed has `ended`. After a failure no more pieces are done.
    """

    def __init__(
        self,
        take: Take,
        told: Callable[[], object] = _nobody_asked,
        *,
        threaded: bool = True,
    ) -> None:
        """``told`` is called in trio's thread where there is news; it must not raise.

        What is so little that a thread is not worth it is done at once.
        """
        self.given = 0
        """Bytes handed over."""
        self.done = 0
        """Bytes that ``take`` is done with. Written by the thread alone."""
        self.goal: float = math.inf
        """There is news when so many bytes are done,"""
        self.watched = False
        """or any, while this is set; and at the end."""
        self.failure: Exception | None = None
        self.since = trio.current_time()
        """When there was news, or somebody began to look for it."""
        self._take = take
        self._told = told
        self._threaded = threaded
        self._stopped = False
        self._over = trio.Event()
        self._news = trio.Event()
        self._pieces: SimpleQueue[memoryview | None] = SimpleQueue()
        if threaded:
            self._token = trio.lowlevel.current_trio_token()
            trio.lowlevel.start_thread_soon(self._work, self._deliver)

    @property
    def ended(self) -> bool:
        """Whether nothing is done any more."""
        return self._over.is_set()

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return self.done < self.given and not self.ended

    def give(self, piece: memoryview) -> None:
        """The next bytes."""
        self.given += len(piece)
        if self._threaded:
            self._pieces.put(piece)
        elif not self.ended:
            self._do(piece)
            if self.failure is not None:
                self._over.set()
            self._report()

    def follow(self, window: Window, begun: int, least: int) -> None:
        """Give what ``window`` has more, from position ``begun`` on in all.

        If that is at least ``least`` bytes: a hand-over of less is not worth it.
        """
        while window.head - begun - self.given >= max(least, 1):
            piece = window.after(begun + self.given)
            self.give(piece[:CHUNK])

    async def reached(self, count: int) -> None:
        """Return when ``count`` bytes are done. Raises what ``take`` raised."""
        self.watched = True
        while self.done < count and not self.ended:
            # The thread looks at `watched` after it has counted, so that it is not missed.
            self._news = trio.Event()
            await self._news.wait()
        self.watched = False
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Begin no other piece; twice is harmless."""
        self._stopped = True
        if self._threaded:
            self._pieces.put(None)
        else:
            self._over.set()

    async def settled(self) -> None:
        """Return when the thread has ended; after `stop`."""
        await self._over.wait()

    # -- in the thread ----------------------------------------------------------------------

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None and not self._stopped:
            self._do(piece)
            # It may be all that keeps the memory.
            del piece
            if self.failure is not None:
                return
            if self.watched or self.done >= self.goal:
                self._tell(self._report)

    def _do(self, piece: memoryview) -> None:
        try:
            self._take(piece)
        except Exception as error:
            self.failure = error
        else:
            self.done += len(piece)

    def _deliver(self, _: object) -> None:
        self._tell(self._end)

    def _tell(self, work: Callable[[], object]) -> None:
        # Where trio has ended there is nobody to be told.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(work)

    # -- back in trio's ---------------------------------------------------------------------

    def _end(self) -> None:
        self._over.set()
        self._report()

    def _report(self) -> None:
        self.since = trio.current_time()
        self._news.set()
        self._told()
