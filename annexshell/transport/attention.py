"""Noticing that a peer leaves while somebody else is waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from annexshell.errors import LinkClosed
from annexshell.transport.link import Link

_CALM = 0.25
"""Seconds before the peer is watched: most waits are over by then, and cost nothing."""


Leaving = Callable[[Link], Awaitable[None]]


@asynccontextmanager
async def attended(
    link: Link, leaving: Leaving = Link.gone
) -> AsyncIterator[Callable[[], None]]:
    """The block is cancelled when the peer leaves; LinkClosed is raised then.

    ``leaving`` tells what that is: it said all it will say, or, for who still has an answer
    to come, it does not listen (`Link.unheard`).

    To be used where it is not the peer's turn to speak. What is yielded ends the watch, and
    must be called before anybody reads from the link again.
    """
    failures: list[Exception] = []
    watch = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, link, leaving, watch, nursery.cancel_scope)
        try:
            yield watch.cancel
        except Exception as error:
            # Not to be wrapped into the nursery's group of failures.
            failures.append(error)
        watch.cancel()
    if failures:
        raise failures[0]
    if nursery.cancel_scope.cancelled_caught:
        raise LinkClosed(name=link.name)


async def _watch(
    link: Link,
    leaving: Leaving,
    watch: trio.CancelScope,
    all_of_it: trio.CancelScope,
) -> None:
    with watch:
        await trio.sleep(_CALM)
        await leaving(link)
        all_of_it.cancel()
