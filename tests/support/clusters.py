"""A cluster in memory, or of whatever Stores a test wants for nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from annexshell.cluster.context import Context, Patience, boot_clock
from annexshell.cluster.node import Node
from annexshell.cluster.plan import Unwanted
from annexshell.cluster.store import ClusterStore
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.repository.busy import Busy
from annexshell.repository.keylocks import KeyLocks
from annexshell.store import AlreadyHave, Intake, Outcome, Store
from annexshell.transport import moving
from tests.support.locations import MemoryLocations
from tests.support.memory_store import MemoryStore, is_content
from tests.support.placers import MemoryPlacer

C = UUID(b"acccccc1-1111-4111-8111-111111111111")
N1 = UUID(b"11111111-1111-4111-8111-111111111111")
N2 = UUID(b"22222222-1111-4111-8111-111111111111")
N3 = UUID(b"33333333-1111-4111-8111-111111111111")
FAR = UUID(b"ffffffff-1111-4111-8111-111111111111")
"""A node of the cluster that only another gateway reaches."""
OTHER = UUID(b"eeeeeeee-1111-4111-8111-111111111111")
"""A repository that is known, and no node of the cluster."""


T = TypeVar("T")


@attrs.define
class Cluster:
    """A cluster of ``nodes``; `session` makes the Store that a client talks to."""

    nodes: list[Node]
    locations: MemoryLocations
    locks: KeyLocks
    patience: Patience = Patience()
    placer: MemoryPlacer = attrs.field(factory=MemoryPlacer)
    unwanted: Unwanted = Unwanted.ALL
    clock: Callable[[], float] = boot_clock
    relayed: bool = False
    client: UUID = UUID(b"")
    bypassed: tuple[UUID, ...] = ()

    def session(self) -> ClusterStore:
        """A session's Store, with nodes of its own that lead to the same places."""
        nodes = [attrs.evolve(node) for node in self.nodes]
        directory = self.locks.change_path.rpartition("/")[0]
        return ClusterStore(
            Context(
                C,
                "c",
                self.locations,
                self.locks,
                Busy(directory),
                patience=self.patience,
                relayed=lambda: self.relayed,
                client=self.client,
                placer=self.placer,
                unwanted=self.unwanted,
                bypassed=lambda: self.bypassed,
                clock=self.clock,
            ),
            lambda: nodes,
        )


def cluster_of(
    stores: Mapping[UUID, Store],
    directory: Path | str,
    *,
    gateway: Store | None = None,
    beyond: frozenset[UUID] = frozenset(),
) -> Cluster:
    """A cluster of ``stores``, and of another ``gateway`` that reaches those ``beyond``."""
    nodes = [Node(name_of(u), u, store) for u, store in stores.items()]
    if gateway is not None:
        nodes.append(Node("gateway", C, gateway, 200.1, gateway=True))
    members = frozenset(stores) | beyond
    locations = MemoryLocations(members | {OTHER, C}, nodes={C: members})
    return Cluster(nodes, locations, KeyLocks(f"{directory}/locks", str(directory)))


def name_of(uuid: UUID) -> str:
    """What the gateway calls a node of a test."""
    return {N1: "n1", N2: "n2", N3: "n3"}.get(uuid, uuid.decode())


@attrs.define
class Faulty(MemoryStore):
    """A node that fails when it comes to ``at``, and then hangs or raises ``error``.

    The steps of a PUT are "asked", "offering" (after which it has offered), the number of
    a byte, "sent" (all bytes are there), "judged" (it has the verdict), and "stored" (all
    is done, save saying so). Those of the others are their names.
    """

    at: str | int = "asked"
    error: Exception | None = None
    others: tuple[UUID, ...] = ()
    """Who else it says has done the same."""
    steps: list[str | int] = attrs.field(factory=list)

    async def meet(self, step: str | int) -> None:
        self.steps.append(step)
        await trio.lowlevel.checkpoint()
        if step == self.at:
            if self.error is None:
                await trio.sleep_forever()
            else:
                raise self.error

    @asynccontextmanager
    async def put(self, key: Key, name: bytes) -> AsyncIterator[Intake | AlreadyHave]:
        await self.meet("asked")
        async with MemoryStore.put(self, key, name) as intake:
            if isinstance(intake, AlreadyHave):
                yield AlreadyHave(self.others)
            else:
                await self.meet("offering")
                yield _FaultyIntake(self, key, intake.offset)

    async def present(self, key: Key) -> bool:
        await self.meet("present")
        return key in self.contents

    async def timestamp(self) -> int:
        await self.meet("timestamp")
        return self.now

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        await self.meet("remove")
        outcome = await MemoryStore.remove(self, key, before)
        await self.meet("removed")
        return attrs.evolve(outcome, others=self.others)


@attrs.define
class _FaultyIntake:
    store: Faulty
    key: Key
    offset: int

    async def accept(self, payload: Payload) -> Outcome:
        store, key = self.store, self.key
        received = bytearray(store.partial.get(key, b""))

        async def take(piece: memoryview) -> None:
            received.extend(piece)
            store.partial[key] = bytes(received)
            await store.meet(len(received))

        await moving.feed(payload, take, 1)
        await store.meet("sent")
        verdict = await payload.verdict()
        await store.meet("judged")
        content = bytes(store.partial.pop(key, b""))
        if verdict is Validity.INVALID or not is_content(key, content):
            return Outcome(False, reason="it is not the content")
        store.contents[key] = content
        await store.meet("stored")
        return Outcome(True, store.others)

    async def adopt(self) -> Outcome:
        await self.store.meet("adopting")
        return Outcome(self.key in self.store.contents)


async def inline(work: Callable[..., T], *arguments: object) -> T:
    """In place of a thread, for which a clock that jumps would not wait."""
    await trio.lowlevel.checkpoint()
    return work(*arguments)
