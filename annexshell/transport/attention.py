"""Noticing that a peer leaves while somebody else is waited for.

Nearly every block that is attended is over before anybody would look for the peer. So a
block only notes that it began; one task of the link's own looks at that note now and then,
as in `guard`, and watches the peer once a block lasts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType

import trio

from annexshell.errors import LinkClosed, LinkError
from annexshell.transport.link import Link

_CALM = 0.25
"""Seconds before the peer is watched: most waits are over by then, and cost nothing."""


Leaving = Callable[[Link], Awaitable[None]]


class Attention:
    """What is paid to the peer of one link; one block at a time is attended."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.block: Attended | None = None
        self._looking = False

    def attended(self, leaving: Leaving = Link.gone) -> Attended:
        """See `attended`."""
        return Attended(self, leaving)

    def begin(self, block: Attended) -> None:
        """``block`` is attended from now on."""
        self.block = block
        if not self._looking:
            self._looking = True
            trio.lowlevel.spawn_system_task(self._look)

    async def _look(self) -> None:
        try:
            while (block := self.block) is not None:
                due = block.begun + _CALM
                if trio.current_time() < due:
                    await trio.sleep_until(due)
                else:
                    await block.watch()
        finally:
            self._looking = False


class Attended:
    """The block; see `attended`. To be entered once."""

    def __init__(self, attention: Attention, leaving: Leaving) -> None:
        self.begun = trio.current_time()
        self._attention = attention
        self._leaving = leaving
        self._scope = trio.CancelScope()
        self._watch: trio.CancelScope | None = None

    async def __aenter__(self) -> Callable[[], None]:
        self._attention.begin(self)
        self._scope.__enter__()
        return self.ready

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.ready()
        handled = self._scope.__exit__(kind, error, trace)
        if self._scope.cancelled_caught:
            raise LinkClosed(name=self._attention.link.name)
        return bool(handled)

    def ready(self) -> None:
        """It is the peer's turn: end the watch, at once."""
        if self._attention.block is self:
            self._attention.block = None
        if self._watch is not None:
            self._watch.cancel()

    async def watch(self) -> None:
        """End the block when the peer leaves; return when it need not be watched."""
        with trio.CancelScope() as self._watch:
            try:
                await self._leaving(self._attention.link)
            except (LinkError, OSError, ValueError, trio.ClosedResourceError):
                # It is of no use any more, which for the block is the same.
                pass
            self._scope.cancel()
            self.ready()


def attended(link: Link, leaving: Leaving = Link.gone) -> Attended:
    """The block is cancelled when the peer leaves; LinkClosed is raised then.

    ``leaving`` tells what that is: it said all it will say, or, for who still has an answer
    to come, it does not listen (`Link.unheard`).

    To be used where it is not the peer's turn to speak. What is yielded ends the watch, and
    must be called before anybody reads from the link again.
    """
    return Attention(link).attended(leaving)
