"""A limit on each wait for a descriptor, for waits that are too many for cancel scopes.

One cancel scope costs more than the wait that it bounds, and a payload waits a thousand
times a gigabyte. So a waiter only notes until when it will wait; a task of its own looks
at that note when it was to be over, and wakes the waiter if it is.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio


class Guard:
    """For one descriptor and one direction."""

    def __init__(self) -> None:
        self._until = math.inf
        self._looks = math.inf
        self._scope = trio.CancelScope()

    async def wait(
        self, wait: Callable[[int], Awaitable[None]], fd: int, seconds: float
    ) -> bool:
        """Wait for ``fd`` with trio's ``wait``; False if that took ``seconds``."""
        self._until = trio.current_time() + seconds
        if self._until < self._looks:
            self._look_then(fd)
        try:
            await wait(fd)
        except trio.ClosedResourceError:
            return False
        finally:
            self._until = math.inf
        return True

    def _look_then(self, fd: int) -> None:
        self._scope.cancel()
        self._scope = trio.CancelScope()
        self._looks = self._until
        trio.lowlevel.spawn_system_task(self._watch, fd, self._scope)

    async def _watch(self, fd: int, scope: trio.CancelScope) -> None:
        with scope:
            while self._looks < math.inf:
                await trio.sleep_until(self._looks)
                if self._until <= trio.current_time():
                    # Whoever was found ready at the same moment does not hear of it.
                    trio.lowlevel.notify_closing(fd)
                    self._until = math.inf
                self._looks = self._until
