"""NOTIFYCHANGE: the answer waits until a ref has changed (spec 01 §5.7).

One id an answer, although it could hold more: see `cli.notifychanges`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from annexshell.errors import OutOfTurn
from annexshell.repository.open import Repository
from annexshell.transport.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:  # what it needs is loaded for the first client that wants to know
    from annexshell.repository.watching import RefWatcher


@attrs.define
class Watching:
    """What a session wants to know of the refs of ``repository``.

    Watching goes on between two requests, so that nothing is missed there.
    """

    repository: Repository
    _watcher: RefWatcher | None = None
    _untold: list[bytes] = attrs.field(factory=list)

    async def changed(self, channel: Channel) -> tuple[bytes, ...]:
        """The new value of a ref; waits for one.

        Raises OutOfTurn if the client says or closes something first: it has given up
        waiting. Raises CannotWatch and RefsGone.
        """
        from annexshell.repository.watching import MERGE, RefWatcher

        if self._watcher is None:
            self._watcher = RefWatcher(self.repository)
        await channel.flush()
        while not self._untold:
            await _unless_client_speaks(channel, self._wait)
            await _unless_client_speaks(channel, lambda: trio.sleep(MERGE))
            self._watcher.woken()
            self._untold = self._watcher.changes()
        return (self._untold.pop(0),)

    async def _wait(self) -> None:
        assert self._watcher is not None
        while not self._watcher.woken():
            await trio.lowlevel.wait_readable(self._watcher.fileno())

    def close(self) -> None:
        """Watch no longer. Twice is harmless."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None


async def _unless_client_speaks(
    channel: Channel, work: Callable[[], Awaitable[None]]
) -> None:
    if channel.spoken_to():
        raise OutOfTurn(expected="unexpected command")
    done = False
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            nonlocal done
            await work()
            done = True
            nursery.cancel_scope.cancel()

        nursery.start_soon(run)
        await channel.link.hung_up()
        nursery.cancel_scope.cancel()
    if not done:
        raise OutOfTurn(expected="unexpected command")
