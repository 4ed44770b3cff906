"""Nodes that fail at a certain byte, and a location log that a test fills in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import attrs

from annexshell.cluster.node import Node
from annexshell.cluster.reading import Reader
from annexshell.errors import PayloadShort, PayloadStalled
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity, nothing
from annexshell.repository.busy import Busy
from annexshell.transport import moving
from tests.support.memory_store import MemoryStore

CLUSTER = UUID(b"acf788bc-41dd-8c24-b6ef-c199bfe447e6")


@attrs.define
class Left:
    """How a node's payload was left."""

    remaining: int
    kept: bool
    raised: type[BaseException] | None


@attrs.define
class ScriptedStore(MemoryStore):
    """Behind byte ``dies_at`` of the content, nothing more comes; or all is silent.

    ``fails`` is raised for every request, ``fails_later`` for those after the first,
    ``fails_leaving`` when a payload is left, and ``fails_verdict`` in place of ``verdict``.
    ``gets`` are the offsets asked for, ``asked`` the requests.
    """

    dies_at: int | None = None
    silent: bool = False
    pipe: bool = False
    verdict: Validity = Validity.VALID
    fails: Exception | None = None
    fails_later: Exception | None = None
    fails_leaving: Exception | None = None
    fails_verdict: Exception | None = None
    asked: list[str] = attrs.field(factory=list)
    gets: list[int] = attrs.field(factory=list)
    left: list[Left] = attrs.field(factory=list)

    def _begin(self, word: str) -> None:
        self.asked.append(word)
        if self.fails is not None:
            raise self.fails
        self.fails = self.fails_later

    async def present(self, key: Key) -> bool:
        self._begin("present")
        return key in self.contents

    @asynccontextmanager
    async def get(self, key: Key, offset: int, name: bytes) -> AsyncIterator[Payload]:
        self._begin("get")
        self.gets.append(offset)
        content = self.contents.get(key)
        fds: list[int] = []
        raised: type[BaseException] | None = None
        payload = nothing(Validity.INVALID)
        if content is not None:
            payload = self._payload(content, offset, fds)
        try:
            yield payload
        except BaseException as error:
            raised = type(error)
            raise
        finally:
            for fd in fds:
                os.close(fd)
            self.left.append(Left(payload.remaining, payload.kept, raised))
            if self.fails_leaving is not None:
                raise self.fails_leaving

    def _payload(self, content: bytes, offset: int, fds: list[int]) -> Payload:
        length = max(len(content) - offset, 0)
        came = content[: self.dies_at][offset:]
        if not self.pipe:
            fds.append(os.memfd_create("content"))
            os.write(fds[0], came)
            return Payload(length, fds[0], position=0, verdict=self._say)
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        fds.append(reading)
        half = len(came) // 2
        os.write(writing, came[half:])
        if self.silent:
            fds.append(writing)
        else:
            os.close(writing)
        return Payload(
            length, reading, came[:half], verdict=self._say, ready=self._ready
        )

    async def _ready(self) -> None:
        raise PayloadStalled(name="the node", time="5m")

    async def _say(self) -> Validity:
        if self.fails_verdict is not None:
            raise self.fails_verdict
        return self.verdict


def uuid_of(number: int) -> UUID:
    """The uuid of the node with a number of one digit."""
    return UUID(b"%d1111111-1111-4111-8111-111111111111" % number)


@attrs.define
class Cluster:
    """Nodes n0, n1, ... that a Reader reads from, in this order where all is equal.

    ``listed`` are the locations of every key; ``corrected`` what was found to be wrong.
    """

    directory: Path
    nodes: list[Node] = attrs.field(factory=list)
    listed: set[UUID] = attrs.field(factory=set)
    members: set[UUID] = attrs.field(factory=set)
    corrected: list[str] = attrs.field(factory=list)
    fails_correcting: Exception | None = None
    looks: int = 0

    def add(self, store: MemoryStore, *, gateway: bool = False) -> Node:
        number = len(self.nodes)
        uuid = CLUSTER if gateway else uuid_of(number)
        node = Node(f"n{number}", uuid, store, cost=100.0 + number, gateway=gateway)
        self.nodes.append(node)
        if not gateway:
            self.listed.add(uuid)
            self.members.add(uuid)
        return node

    def holders(self, key: Key) -> frozenset[UUID]:
        self.looks += 1
        return frozenset(self.listed)

    def clusters(self) -> dict[UUID, frozenset[UUID]]:
        return {CLUSTER: frozenset(self.members)}

    async def correct(self, node: Node, key: Key) -> None:
        self.corrected.append(node.name)
        if self.fails_correcting is not None:
            raise self.fails_correcting

    def reader(self) -> Reader:
        busy = Busy(str(self.directory))
        return Reader(CLUSTER, self.nodes, self, busy, self.correct, Random(1))


async def fetch(payload: Payload, size: int = 3) -> bytes:
    """The bytes of a payload, which goes on from elsewhere where that can be."""
    got = bytearray()

    async def take(piece: memoryview) -> None:
        got.extend(piece)

    while payload.remaining:
        try:
            await moving.feed(payload, take, size)
        except PayloadShort as error:
            if payload.substitute is None or not await payload.substitute(error):
                raise
    return bytes(got)
