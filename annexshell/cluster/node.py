"""Node: one of the Stores that a cluster is made of, and how it has behaved."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from annexshell.errors import RequestError
from annexshell.model.ids import UUID
from annexshell.store import Store


def _unknown() -> int | None:
    return None


def _waits() -> bool:
    return False


@attrs.define(eq=False)
class Node:
    """The repository ``uuid``, known here as the remote ``name``.

    ``gateway`` is true where it is the same cluster seen through another gateway (spec 01
    §8.2 b): ``uuid`` is the cluster's then. ``cost`` is as git-annex reckons it, less is
    better. ``missing_until`` is a time of trio's clock before which it is not worth trying
    to reach it again, ``failure`` what it failed with then, and ``failures`` how often it
    did so in a row. Before ``late_until`` it is better to ask another one first, which was
    quicker. `health` keeps these four.

    ``room`` tells how many bytes its disk can take, None if that is not known; it blocks,
    and does not raise. ``prompt`` tells whether its store knows what it has, and opens it,
    without waiting for anybody; it does not raise.
    """

    name: str
    uuid: UUID
    store: Store
    cost: float = 100.0
    gateway: bool = False
    missing_until: float = -math.inf
    failure: RequestError | None = None
    failures: int = 0
    late_until: float = -math.inf
    room: Callable[[], int | None] = _unknown
    prompt: Callable[[], bool] = _waits

    def forgive(self) -> None:
        """Forget that it failed."""
        self.missing_until, self.failure, self.failures = -math.inf, None, 0
