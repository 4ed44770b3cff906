"""A Placer of a test's own: who wants what, who has how much room, what is reserved."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from types import TracebackType

import attrs

from annexshell.cluster.placing import Reservation, View
from annexshell.model.ids import UUID
from annexshell.model.key import Key

Wants = Callable[[UUID, Key, bytes], bool]


def wants_all(uuid: UUID, key: Key, name: bytes) -> bool:
    """Every node wants everything."""
    return True


def only(*uuids: UUID) -> Wants:
    """These nodes want everything, the others nothing."""
    return lambda uuid, key, name: uuid in uuids


@attrs.define
class MemoryPlacer:
    """Nodes that are not in ``space`` take any number of bytes.

    ``reserved`` has what is spoken for now, ``history`` all that ever was, in order.
    """

    wanted: Wants = wants_all
    space: dict[UUID, int] = attrs.field(factory=dict)
    reserved: list[Reserved] = attrs.field(factory=list)
    history: list[frozenset[UUID]] = attrs.field(factory=list)

    def place(
        self, key: Key, name: bytes, choose: Callable[[View], Collection[UUID]]
    ) -> Reservation:
        made = Reserved(self)
        self.reserved.append(made)
        made.add(choose(_Sight(self, key, name)))
        return made


@attrs.define(eq=False)
class Reserved(AbstractContextManager["Reservation"]):
    """One upload's."""

    placer: MemoryPlacer
    uuids: set[UUID] = attrs.field(factory=set)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, uuids: Collection[UUID]) -> None:
        assert self in self.placer.reserved, "closed already"
        self.uuids |= set(uuids)
        self.placer.history.append(frozenset(uuids))

    def close(self) -> None:
        if self in self.placer.reserved:
            self.placer.reserved.remove(self)


@attrs.frozen
class _Sight:
    placer: MemoryPlacer
    key: Key
    name: bytes

    def wants(self, uuid: UUID) -> bool:
        return self.placer.wanted(uuid, self.key, self.name)

    def left(self, uuid: UUID) -> int | None:
        return self.placer.space.get(uuid)
