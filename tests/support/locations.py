"""A location log in memory."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from annexshell.errors import JournalFailed
from annexshell.logs.clusters import with_clusters
from annexshell.model.ids import UUID
from annexshell.model.key import Key


@attrs.define
class MemoryLocations:
    """``known`` are the repositories with a description; ``broken`` fails every write.

    ``writes`` has what was recorded at once, ``nodes`` the living nodes of each cluster.
    """

    known: frozenset[UUID] = frozenset()
    places: set[tuple[Key, UUID]] = attrs.field(factory=set)
    records: list[tuple[Key, UUID, bool]] = attrs.field(factory=list)
    broken: bool = False
    writes: list[dict[UUID, bool]] = attrs.field(factory=list)
    nodes: dict[UUID, frozenset[UUID]] = attrs.field(factory=dict)

    def record(self, key: Key, uuid: UUID, present: bool) -> bool:
        if self.broken:
            raise JournalFailed(where="memory", detail="broken")
        self.records.append((key, uuid, present))
        if ((key, uuid) in self.places) == present:
            return False
        (self.places.add if present else self.places.discard)((key, uuid))
        return True

    def descriptions(self) -> dict[UUID, bytes]:
        return dict.fromkeys(self.known, b"described")

    def record_all(self, key: Key, found: Mapping[UUID, bool]) -> bool:
        news = [self.record(key, uuid, present) for uuid, present in found.items()]
        self.writes.append(dict(found))
        return any(news)

    def record_at_once(self, key: Key, found: Mapping[UUID, bool]) -> bool:
        self.record_all(key, found)
        return True

    def locations(self, key: Key) -> frozenset[UUID]:
        return with_clusters(self.holders(key), self.nodes)

    def holders(self, key: Key) -> frozenset[UUID]:
        """Who has the content, without clusters."""
        return frozenset(uuid for place, uuid in self.places if place == key)

    def clusters(self) -> dict[UUID, frozenset[UUID]]:
        return dict(self.nodes)
