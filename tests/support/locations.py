"""A location log in memory."""

from __future__ import annotations

import attrs

from annexshell.errors import JournalFailed
from annexshell.model.ids import UUID
from annexshell.model.key import Key


@attrs.define
class MemoryLocations:
    """``known`` are the repositories with a description; ``broken`` fails every write."""

    known: frozenset[UUID] = frozenset()
    places: set[tuple[Key, UUID]] = attrs.field(factory=set)
    records: list[tuple[Key, UUID, bool]] = attrs.field(factory=list)
    broken: bool = False

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
