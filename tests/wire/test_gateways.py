"""Gateways of one cluster that reach each other: every node once, no circles, no hangs.

All of them live in this process, each with a location log, locks and nodes of its own, and
speak over socket pairs (spec 01 §9, §15 vector 36). Time is trio's mock clock: what would
wait for ever fails at once.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import attrs
import pytest
import trio

from annexshell.errors import LinkError, RequestError
from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.protocol.conversation import Role
from annexshell.proxy.members import Cluster
from annexshell.proxy.routes import Published
from annexshell.remotes.limits import NodeLimits
from annexshell.remotes.peer import PeerStore
from annexshell.remotes.recipes import SshHost
from annexshell.repository.config import GitConfig
from annexshell.repository.open import Repository
from annexshell.serve.answers import Session
from annexshell.serve.clustered import Selection
from annexshell.serve.connection import converse
from annexshell.serve.nodes import Nodes
from annexshell.store import AlreadyHave, Outcome, Store
from annexshell.transport import moving
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.async_tests import clock_test
from tests.support.cluster_world import (
    NAME,
    C,
    ClusterMemory,
    cluster_store,
    on_a_clock,
    without_threads,
)
from tests.support.faulty_store import FaultyStore
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import allow

DATA = bytes(range(256)) * 800
K = key_of(DATA)
UNIT = 10.0
BOUND = 100 * NodeLimits(UNIT).storing(len(DATA))
"""Seconds of the mock clock in which a request must have ended."""

Act = Callable[[Store], Awaitable[object]]


class MortalLink(Link):
    """A link of a gateway that may die at each step of it."""

    def __init__(self, sock: socket.socket, name: str, owner: Gateway) -> None:
        fd = sock.detach()
        super().__init__(fd, fd, name)
        self._owner = owner
        owner.links.append(self)

    async def read(self, limit: int, *, owed: bool = False) -> bytes:
        await self._owner.step()
        return await super().read(limit, owed=owed)

    async def write(self, data: bytes | memoryview) -> None:
        await self._owner.step()
        await super().write(data)
        await self._owner.step()

    async def payload_ready(self) -> None:
        await self._owner.step()
        await super().payload_ready()

    def cut(self) -> None:
        """The end, as the other side sees that of a process."""
        if self.reading >= 0:
            with socket.socket(fileno=os.dup(self.reading)) as sock:
                sock.shutdown(socket.SHUT_RDWR)


class MortalNode(FaultyStore):
    """A direct node, at each call of which the gateway may die."""

    owner: Gateway

    async def _begin(self, word: str, key: Key | None, limit: float) -> None:
        await self.owner.step()
        await super()._begin(word, key, limit)

    async def _end(self, word: str, limit: float) -> None:
        await super()._end(word, limit)
        await self.owner.step()


@attrs.define(eq=False)
class Gateway:
    """One gateway: ``nodes`` of its own, and ``peers``, the names of others it asks."""

    name: str
    uuid: UUID
    world: World
    nodes: dict[UUID, FaultyStore]
    peers: list[str]
    top: Path
    log: ClusterMemory
    links: list[MortalLink] = attrs.field(factory=list)
    connections: int = 0
    steps: int = 0
    dies_at: int = -1
    dead: bool = False
    _scopes: list[trio.CancelScope] = attrs.field(init=False, factory=list)

    async def step(self) -> None:
        """Something is about to happen here, unless it is the end."""
        self.steps += 1
        if self.steps == self.dies_at:
            self.die()
        if self.dead:
            await trio.sleep_forever()

    def die(self) -> None:
        self.dead = True
        for link in self.links:
            link.cut()
        for scope in self._scopes:
            scope.cancel()

    # -- its client's side -----------------------------------------------------------------

    async def open(self, owner: Gateway | None) -> Link:
        """A link to a new session here, for another gateway or the client."""
        if self.dead:
            raise ConnectionRefusedError("no gateway there")
        self.connections += 1
        ours, theirs = socket.socketpair()
        link = MortalLink(ours, self.name, self)
        self.world.nursery.start_soon(self._serve, link)
        if owner is not None:
            return MortalLink(theirs, self.name, owner)
        fd = theirs.detach()
        return Link(fd, fd, self.name)

    async def _serve(self, link: MortalLink) -> None:
        opened = Opened(self)
        cluster = Cluster(C, self.uuid, opened.gateway.config, self.world.published)
        selection = Selection(cast(Nodes, opened), cluster)
        store = cluster_store(
            selection.select,
            self.log,
            self.top,
            relayed=lambda: bool(selection.received),
            bypassed=lambda: selection.received,
            timeout=UNIT,
        )
        channel = Channel(link, Role.SERVER)
        session = Session(channel, store, allow, bypass=selection.bypass)
        with trio.CancelScope() as scope:
            self._scopes.append(scope)
            try:
                await converse(session, C)
            finally:
                link.close()
                await opened.aclose()


@attrs.define
class Opened:
    """What one session of a gateway has opened: `serve.nodes.Nodes` without disks."""

    owner: Gateway
    peers: list[PeerStore] = attrs.field(factory=list)

    @property
    def gateway(self) -> Repository:
        top = str(self.owner.top)
        return Repository(top, top, top, None, config_of(self.owner))

    def by_path(self, name: str, uuid: UUID, path: str) -> Store:
        shared = self.owner.nodes[uuid]
        node = MortalNode(name, shared.inner, shared.faults, NodeLimits(UNIT))
        node.owner, node.calls = self.owner, shared.calls
        return node

    def by_ssh(
        self,
        name: str,
        via: str,
        uuid: UUID,
        host: SshHost,
        *,
        bypass: Callable[[], tuple[UUID, ...]],
        least: int,
    ) -> PeerStore:
        other = self.owner.world.gateways[via]

        async def connect() -> Link:
            return await other.open(self.owner)

        peer = PeerStore(name, uuid, connect, timeout=UNIT, bypass=bypass, least=least)
        self.peers.append(peer)
        return peer

    async def aclose(self) -> None:
        for peer in self.peers:
            await peer.aclose()


def config_of(gateway: Gateway) -> GitConfig:
    """As an operator and updatecluster write it."""
    items = [
        ("annex.uuid", gateway.uuid.decode()),
        (f"annex.cluster.{NAME}", C.decode()),
    ]
    for number, node in enumerate(gateway.nodes):
        remote = f"remote.node{number}"
        items += [(f"{remote}.url", f"/nodes/{number}")]
        items += [(f"{remote}.annex-uuid", node.decode())]
        items += [(f"{remote}.annex-cluster-node", NAME)]
    for name in gateway.peers:
        other = gateway.world.gateways[name]
        items += [(f"remote.{name}.url", f"ssh://{name}/r")]
        items += [(f"remote.{name}.annex-uuid", other.uuid.decode())]
        items += [(f"remote.{name}.annex-cluster-gateway", C.decode())]
    return GitConfig(items)


@attrs.define
class World:
    """All gateways and nodes of one cluster."""

    nursery: trio.Nursery
    top: Path
    gateways: dict[str, Gateway] = attrs.field(factory=dict)
    nodes: dict[UUID, FaultyStore] = attrs.field(factory=dict)

    @property
    def published(self) -> Published:
        lines = {g.uuid: (Proxied(C, NAME.encode()),) for g in self.gateways.values()}
        return Published(lines, {C: frozenset(self.nodes)})

    def has(self) -> set[UUID]:
        return {uuid for uuid, node in self.nodes.items() if K in node.inner.contents}

    def calls(self, word: str) -> Counter[UUID]:
        """How often each node was asked for this."""
        return Counter(
            uuid
            for uuid, node in self.nodes.items()
            for called, _ in node.calls
            if called == word
        )

    def give(self, *numbers: int) -> None:
        """These nodes have the content, and every gateway knows."""
        for number in numbers:
            uuid = list(self.nodes)[number]
            self.nodes[uuid].inner.add(DATA)
            for gateway in self.gateways.values():
                gateway.log.places.add((K, uuid))

    def claims_nothing_false(self) -> None:
        for gateway in self.gateways.values():
            for key, uuid, present in gateway.log.records:
                if present:
                    assert uuid in self.has(), f"{gateway.name} claims it"

    @asynccontextmanager
    async def client(self, name: str, version: int = 4) -> AsyncIterator[PeerStore]:
        """A client of one of the gateways."""
        gateway = self.gateways[name]
        store = PeerStore(name, C, lambda: gateway.open(None), timeout=100 * UNIT)
        store.newest = version
        try:
            yield store
        finally:
            with trio.CancelScope(shield=True):
                await store.aclose()


Shape = dict[str, tuple[int, str]]
"""By name: how many nodes a gateway has, and the gateways that it asks."""

LINE: Shape = {"a": (2, "b"), "b": (2, "c"), "c": (2, "")}
RING: Shape = {"a": (2, "b"), "b": (2, "c"), "c": (2, "a")}
LONG_RING: Shape = {"a": (2, "b"), "b": (1, "c"), "c": (2, "d"), "d": (2, "a")}
TRIANGLE: Shape = {"a": (2, "bc"), "b": (2, "ac"), "c": (2, "ab")}
PAIR: Shape = {"a": (2, "b"), "b": (2, "a")}
SQUARE: Shape = {"a": (2, "bd"), "b": (1, "ac"), "c": (2, "bd"), "d": (2, "ac")}
ONCE = [LINE, RING, LONG_RING, TRIANGLE, PAIR]
"""Shapes in which there is one way from the client's gateway to every other."""
ALL = [*ONCE, SQUARE]


@asynccontextmanager
async def world_of(shape: Shape) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory() as directory:
        async with trio.open_nursery() as nursery:
            world = World(nursery, Path(directory))
            for number, (name, (count, peers)) in enumerate(shape.items()):
                _add_gateway(world, number, name, count, list(peers))
            members = {C: frozenset(world.nodes)}
            for gateway in world.gateways.values():
                gateway.log.nodes = members
                gateway.log.known = members[C]
            with trio.fail_after(BOUND):
                yield world
            nursery.cancel_scope.cancel()


def _add_gateway(
    world: World, number: int, name: str, count: int, peers: list[str]
) -> None:
    uuids = [
        UUID(b"%08d-2222-4222-8222-%012d" % (number, node)) for node in range(count)
    ]
    nodes = {uuid: FaultyStore(f"{name}{uuid[-1:]!r}", MemoryStore()) for uuid in uuids}
    world.nodes |= nodes
    uuid = UUID(b"%08d-1111-4111-8111-111111111111" % number)
    top = world.top / name
    log = ClusterMemory()
    world.gateways[name] = Gateway(name, uuid, world, nodes, peers, top, log)


# -- what clients do -----------------------------------------------------------------------


async def _valid() -> Validity:
    return Validity.VALID


async def put(store: Store) -> Outcome | AlreadyHave:
    async with store.put(K, b"f") as intake:
        if isinstance(intake, AlreadyHave):
            return intake
        fd = os.memfd_create("content")
        try:
            os.write(fd, DATA)
            rest = len(DATA) - intake.offset
            return await intake.accept(
                Payload(rest, fd, position=intake.offset, verdict=_valid)
            )
        finally:
            os.close(fd)


async def get(store: Store) -> bytes:
    got = bytearray()

    async def take(piece: memoryview) -> None:
        got.extend(piece)

    async with store.get(K, 0, b"f") as payload:
        await moving.feed(payload, take)
        await payload.verdict()
        payload.kept = bytes(got) == DATA
    return bytes(got)


async def remove(store: Store) -> Outcome:
    return await store.remove(K)


async def remove_in_time(store: Store) -> Outcome:
    return await store.remove(K, await store.timestamp() + 1000)


async def present(store: Store) -> bool:
    return await store.present(K)


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    without_threads(monkeypatch)


# -- all is well ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1, 2, 4])
@pytest.mark.parametrize("shape", ONCE)
@clock_test
async def test_every_node_is_asked_to_store_once(shape: Shape, version: int) -> None:
    """With version 1 git-annex's gateways call each other without end (vector 36)."""
    async with world_of(shape) as world:
        async with world.client("a", version) as client:
            outcome = await put(client)
        assert isinstance(outcome, Outcome) and outcome.ok
        assert world.has() == set(world.nodes)
        assert world.calls("put") == dict.fromkeys(world.nodes, 1)
        assert all(g.connections <= 1 for g in world.gateways.values())
        if version >= 2:
            assert sorted(outcome.others) == sorted(world.nodes)
        assert world.gateways["a"].log.holders(K) == world.has()
        world.claims_nothing_false()


@pytest.mark.parametrize("act", [remove, remove_in_time])
@pytest.mark.parametrize("shape", ONCE)
@clock_test
async def test_every_node_is_asked_to_remove_once(shape: Shape, act: Act) -> None:
    async with world_of(shape) as world:
        world.give(*range(len(world.nodes)))
        async with world.client("a") as client:
            outcome = await act(client)
        assert isinstance(outcome, Outcome) and outcome.ok
        assert not world.has()
        assert world.calls("remove") == dict.fromkeys(world.nodes, 1)
        assert sorted(outcome.others) == sorted(world.nodes)
        assert not world.gateways["a"].log.holders(K)


@pytest.mark.parametrize("shape", ALL)
@clock_test
async def test_content_is_read_from_wherever_it_is(shape: Shape) -> None:
    async with world_of(shape) as world:
        world.give(len(world.nodes) - 1)
        async with world.client("a") as client:
            assert await present(client)
            assert await get(client) == DATA
        assert all(g.connections <= 2 for g in world.gateways.values())


@pytest.mark.parametrize("shape", ALL)
@clock_test
async def test_several_ways_to_a_node_end_in_one_copy_each(shape: Shape) -> None:
    async with world_of(shape) as world:
        async with world.client("a") as client:
            stored = await put(client)
            assert isinstance(stored, Outcome) and stored.ok
            assert world.has() == set(stored.others)
            assert len(set(stored.others)) == len(stored.others)
            again = await put(client)
            assert isinstance(again, AlreadyHave)
            assert set(again.others) <= world.has()
            world.claims_nothing_false()
            removed = await remove(client)
            assert removed.ok and not world.has()


@pytest.mark.parametrize("shape", ALL)
@clock_test
async def test_all_gateways_at_once(shape: Shape) -> None:
    """Clients of each gateway upload one key: some may be refused, none waits for ever."""
    async with world_of(shape) as world:
        done: list[Outcome | AlreadyHave | Exception] = []

        async def upload(name: str) -> None:
            async with world.client(name) as client:
                try:
                    done.append(await put(client))
                except (RequestError, LinkError) as error:
                    done.append(error)

        async with trio.open_nursery() as nursery:
            for name in world.gateways:
                nursery.start_soon(upload, name)
        assert len(done) == len(world.gateways)
        assert world.has()
        for outcome in done:
            if isinstance(outcome, Outcome | AlreadyHave):
                assert set(outcome.others) <= world.has()
        world.claims_nothing_false()


@pytest.mark.parametrize("shape", [LINE, RING, TRIANGLE])
@clock_test
async def test_what_one_way_cannot_reach_another_may(shape: Shape) -> None:
    """And if none does, a removal that did not get everywhere is none."""
    async with world_of(shape) as world:
        world.give(*range(len(world.nodes)))
        world.gateways["c"].die()
        async with world.client("a") as client:
            try:
                outcome = await remove(client)
            except RequestError as error:
                raise AssertionError("what was removed is to be named") from error
        assert not outcome.ok
        lost = set(world.gateways["c"].nodes)
        assert world.has() == lost
        assert set(outcome.others) == set(world.nodes) - lost


# -- a gateway dies ------------------------------------------------------------------------


async def _dies(shape: Shape, act: Act, held: bool, victim: str, at: int) -> bool:
    """Whether the victim got that far."""
    async with world_of(shape) as world:
        if held:
            world.give(*range(len(world.nodes)))
        world.gateways[victim].dies_at = at
        result: object = None
        async with world.client("a") as client:
            try:
                result = await act(client)
            except (RequestError, LinkError) as error:
                result = error
        _judge(world, act, result)
        died = world.gateways[victim].dead
        if died:
            await _goes_on(world)
    return died


def _judge(world: World, act: Act, result: object) -> None:
    """Nothing is claimed that is not so, by the answer or by any log."""
    has = world.has()
    if isinstance(result, Outcome) and act is put:
        assert set(result.others) <= has
        assert result.ok == bool(result.others)
    elif isinstance(result, Outcome):
        assert not set(result.others) & has
        assert not (result.ok and has)
    elif isinstance(result, bytes):
        assert result == DATA
    elif isinstance(result, bool):
        assert result == bool(has)
    for gateway in world.gateways.values():
        if act is put:
            assert gateway.log.holders(K) <= has
        else:
            absent = {uuid for _, uuid, there in gateway.log.records if not there}
            assert not absent & has


async def _goes_on(world: World) -> None:
    """Once the nodes have noticed, the others serve as before, with what they reach."""
    await trio.sleep(2 * NodeLimits(UNIT).storing(len(DATA)))
    name = next(name for name, gateway in world.gateways.items() if not gateway.dead)
    async with world.client(name) as client:
        stored = await put(client)
        assert stored.others and set(stored.others) <= world.has()
        assert await get(client) == DATA


@pytest.mark.parametrize("victim", ["a", "b", "c"])
@pytest.mark.parametrize(
    "act, held",
    [
        (put, False),
        (remove, True),
        (remove_in_time, True),
        (get, True),
        (present, True),
    ],
)
@pytest.mark.parametrize("shape", [RING, TRIANGLE])
def test_a_gateway_dies_anywhere(
    shape: Shape, act: Act, held: bool, victim: str
) -> None:
    at = 1
    while on_a_clock(_dies, shape, act, held, victim, at):
        at += 1
    assert at > 1 or victim != "a"
