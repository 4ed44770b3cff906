"""Where content of a key belongs, as a cluster asks it (spec 04 §11)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from annexshell.model.ids import UUID
from annexshell.model.key import Key


class View(Protocol):
    """What is known of one key at one moment: every answer is by the same sizes.

    Everything blocks. Nothing raises: what cannot be read counts as not configured, and is
    in the log.
    """

    def wants(self, uuid: UUID) -> bool:
        """Whether the repository's preferred content has the key; true if it has none."""

    def left(self, uuid: UUID) -> int | None:
        """Bytes below the repository's maxsize, what is on its way there being counted;
        None if it has no maxsize, or its size is not known."""


class Reservation(AbstractContextManager["Reservation"], Protocol):
    """Room that is spoken for, so that others do not choose by sizes that are old.

    What is recorded as stored in the gateway's log is the repository's from then on; what
    is not is free again when this is closed, or when our process ends.
    """

    def add(self, uuids: Collection[UUID]) -> None:
        """Speak for room in more repositories; blocks, never raises."""

    def close(self) -> None:
        """Blocks, never raises; doing it twice is harmless."""


class Placer(Protocol):
    """Decides for one session of a gateway where content belongs. Blocks."""

    def place(
        self, key: Key, name: bytes, choose: Callable[[View], Collection[UUID]]
    ) -> Reservation:
        """Reserve room in those that ``choose`` picks from what it sees.

        ``name`` is that of the file, by the client's word; empty if it has none. Nobody
        else decides between the picking and the reserving.
        """


class Everywhere:
    """The Placer of a cluster where nothing is configured: all want all."""

    def place(
        self, key: Key, name: bytes, choose: Callable[[View], Collection[UUID]]
    ) -> Reservation:
        choose(_Boundless())
        return _Nothing()


class _Boundless:
    def wants(self, uuid: UUID) -> bool:
        return True

    def left(self, uuid: UUID) -> int | None:
        return None


class _Nothing(AbstractContextManager["Reservation"]):
    """Of what has no end nothing need be reserved."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, uuids: Collection[UUID]) -> None:
        """See `Reservation.add`."""

    def close(self) -> None:
        """See `Reservation.close`."""
