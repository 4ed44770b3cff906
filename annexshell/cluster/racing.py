"""Asking nodes in turn, without waiting long for one while there is another to ask.

A node may be silent for a minute before it counts as unreachable. Whoever needs only one
answer asks the next node after `HEAD_START` seconds as well, and takes what comes first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import trio

from annexshell.cluster.health import beaten
from annexshell.cluster.node import Node

HEAD_START = 3.0
"""Seconds that a node is waited for before the next one is asked as well."""

T = TypeVar("T")


class Race(Generic[T]):
    """``ask`` is called for each node in turn, and returns None where it is of no help.

    It must bear to be cancelled, and is not to raise what can be told otherwise. ``found``
    is what came first; or more, if that was in the same moment; also where `run` is
    cancelled. ``unasked`` are the nodes that were not needed, and ``beaten`` those that had
    their time and were cancelled.
    """

    def __init__(self, ask: Callable[[Node], Awaitable[T | None]]) -> None:
        self.found: list[T] = []
        self.unasked: list[Node] = []
        self.beaten: list[Node] = []
        self._ask = ask
        self._failures: list[Exception] = []
        self._since: dict[Node, float] = {}

    async def run(self, nodes: Sequence[Node]) -> T | None:
        """The first answer, or None where no node has one."""
        self.unasked = list(nodes)
        while self.unasked and (len(self.unasked) == 1 or self.unasked[0].prompt()):
            # What most requests come to, and needs no task: there is nobody else to ask,
            # or no time in which to ask another one.
            answer = await self._ask(self.unasked.pop(0))
            if answer is not None or not self.unasked:
                return answer
        async with trio.open_nursery() as nursery:
            while self.unasked and not self.found:
                over = trio.Event()
                nursery.start_soon(self._one, self.unasked.pop(0), over, nursery)
                with trio.move_on_after(HEAD_START):
                    await over.wait()
        if self._failures:
            raise self._failures[0]
        for node in self.beaten:
            beaten(node, HEAD_START)
        return self.found[0] if self.found else None

    async def _one(self, node: Node, over: trio.Event, nursery: trio.Nursery) -> None:
        self._since[node] = trio.current_time()
        try:
            answer = await self._ask(node)
        except Exception as error:
            # Not to be wrapped into the nursery's group of failures.
            self._failures.append(error)
            nursery.cancel_scope.cancel()
            return
        del self._since[node]
        over.set()
        if answer is None:
            return
        if not self.found:
            due = trio.current_time() - HEAD_START
            self.beaten = [n for n, since in self._since.items() if since <= due]
        self.found.append(answer)
        nursery.cancel_scope.cancel()
