"""Clusters in memory: their uuids, their location log, their clock, and no threads."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
import trio.testing

from annexshell.cluster.context import Context, Patience, never
from annexshell.cluster.node import Node
from annexshell.cluster.placing import Everywhere, Placer
from annexshell.cluster.plan import Unwanted
from annexshell.cluster.store import ClusterStore
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.busy import Busy
from annexshell.repository.keylocks import KeyLocks
from tests.support.async_tests import first_of
from tests.support.locations import MemoryLocations

T = TypeVar("T")

C = UUID(b"acacacac-1111-8111-8111-acacacacacac")
NAME = "mycluster"
N1, N2, N3, N4 = NODES = tuple(
    UUID(b"%08d-2222-4222-8222-222222222222" % n) for n in (11111111, 22222222, 3, 4)
)
FAR = UUID(b"ffffffff-3333-4333-8333-333333333333")
"""A node of the cluster that is behind another gateway."""
STRANGER = UUID(b"99999999-4444-4444-8444-444444444444")
"""In uuid.log, and no node."""
GATEWAY_CLOCK = 70_000.25
"""What the gateway's clock says when trio's says zero."""


@attrs.define
class ClusterMemory(MemoryLocations):
    """A location log that tells ``seen`` of each change before it is made."""

    seen: Callable[[Key, UUID, bool], None] = lambda key, uuid, present: None

    def record(self, key: Key, uuid: UUID, present: bool) -> bool:
        if not self.broken:
            self.seen(key, uuid, present)
        return super().record(key, uuid, present)


def memory_of(*nodes: UUID) -> ClusterMemory:
    """The log of a gateway to the cluster of these nodes, and of one far away."""
    members = frozenset({*nodes, FAR})
    return ClusterMemory(members | {STRANGER}, nodes={C: members})


async def _at_once(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return function(*args)


def without_threads(patch: pytest.MonkeyPatch) -> None:
    """Blocking calls block: a clock that jumps would jump while a thread works."""
    patch.setattr(trio.to_thread, "run_sync", _at_once)


def gateway_time() -> float:
    """Seconds of the gateway's own clock."""
    return GATEWAY_CLOCK + trio.current_time()


def cluster_store(
    select: Callable[[], Sequence[Node]],
    log: ClusterMemory,
    top: Path,
    *,
    relayed: Callable[[], bool] = never,
    placer: Placer = Everywhere(),
    clock: Callable[[], float] = gateway_time,
    timeout: float = 60.0,
    unwanted: Unwanted = Unwanted.ALL,
    bypassed: Callable[[], Collection[UUID]] = tuple,
) -> ClusterStore:
    """The cluster ``C`` as one session has it; sessions of one gateway share ``top``."""
    return ClusterStore(
        Context(
            C,
            NAME,
            log,
            KeyLocks(str(top / "locks"), str(top)),
            Busy(str(top)),
            patience=Patience(timeout, 10 * timeout, timeout / 3),
            relayed=relayed,
            placer=placer,
            clock=clock,
            unwanted=unwanted,
            bypassed=bypassed,
        ),
        select,
    )


def on_a_clock(
    test: Callable[..., Awaitable[T]],
    *args: object,
    clock: trio.testing.MockClock | None = None,
) -> T:
    """Run ``test``, on a clock that jumps on when all tasks wait; what it returns."""
    clock = clock or trio.testing.MockClock(autojump_threshold=0)
    try:
        return trio.run(test, *args, clock=clock)
    except BaseExceptionGroup as group:
        raise first_of(group) from None


def open_descriptors() -> set[str]:
    """The descriptors of this process, by number and what they lead to."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
        except FileNotFoundError:
            # The listing's own.
            continue
    return found
