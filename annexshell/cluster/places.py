"""Where one upload goes: deciding that, and keeping room there while it is on its way."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence

import attrs
import trio

from annexshell.cluster.context import Context
from annexshell.cluster.health import is_missing
from annexshell.cluster.node import Node
from annexshell.cluster.placing import Reservation, View
from annexshell.cluster.plan import Group, Known, plan
from annexshell.model.ids import UUID
from annexshell.model.key import Key

log = logging.getLogger("annexshell.cluster")


class Places:
    """Where content of ``key`` belongs, whose file is called ``name`` by the client.

    Whoever makes it closes it, when what was stored is recorded.
    """

    def __init__(self, context: Context, key: Key, name: bytes) -> None:
        self._context = context
        self._key = key
        self._name = name
        self._groups: Sequence[Group] = ()
        self._reservation: Reservation | None = None

    async def find(self, known: Known) -> Sequence[Group]:
        """The groups to be asked one after the other; see `plan`. Room is reserved in the
        first one."""
        asked = [n for n in known.nodes if n.uuid not in known.holders]
        asked = [node for node in asked if not is_missing(node)]
        # Without being cancelled in it: a reservation would be lost.
        self._reservation = await trio.to_thread.run_sync(self._find, known, asked)
        return self._groups

    def _find(self, known: Known, asked: Iterable[Node]) -> Reservation:
        # Others wait for the deciding, and shall not wait for a disk that hangs.
        rooms = {node.name: node.room() for node in asked}
        known = attrs.evolve(known, rooms=rooms)

        def choose(view: View) -> Collection[UUID]:
            self._groups = plan(self._key, known, view)
            return self._groups[0].uuids

        reservation = self._context.placer.place(self._key, self._name, choose)
        self._tell_of_full_disks(rooms)
        return reservation

    def _tell_of_full_disks(self, rooms: dict[str, int | None]) -> None:
        for group in self._groups:
            for node in group.keen if group.full else ():
                room = rooms.get(node.name)
                if room is not None and room < (self._key.size or 0):
                    log.warning("%s has no room on its disk for the content", node.name)

    async def take(self, group: Group) -> None:
        """Reserve room in the nodes of ``group``, which is to be asked now."""
        if group.full:
            names = ", ".join(node.name for node in group.nodes)
            log.warning("no other node takes the content; asking full ones: %s", names)
        if group is self._groups[0] or not group.uuids or self._reservation is None:
            return
        await trio.to_thread.run_sync(self._reservation.add, group.uuids)

    async def aclose(self) -> None:
        """Free what is reserved, also if the client is leaving."""
        if self._reservation is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._reservation.close)
