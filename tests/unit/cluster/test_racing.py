"""Nodes that are slow to answer, while another one would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from annexshell.cluster.health import LATE, is_missing
from annexshell.cluster.node import Node
from annexshell.cluster.racing import HEAD_START, Race
from annexshell.errors import PayloadStalled
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.remotes.peer import PeerStore
from annexshell.transport.link import Link
from tests.support.async_tests import clock_test
from tests.support.clusters import inline
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import link_pair
from tests.unit.cluster.scripted import Cluster, ScriptedStore, fetch, uuid_of

CONTENT = b"0123456789abcdefghij"
KEY = key_of(CONTENT)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(trio.to_thread, "run_sync", inline)
    return Cluster(tmp_path)


class Slow(ScriptedStore):
    """Answers after ten seconds, if anybody still wants it."""

    async def present(self, key: Key) -> bool:
        await trio.sleep(10)
        return await ScriptedStore.present(self, key)

    @asynccontextmanager
    async def get(self, key: Key, offset: int, name: bytes) -> AsyncIterator[Payload]:
        await trio.sleep(10)
        async with ScriptedStore.get(self, key, offset, name) as payload:
            yield payload


def having(kind: type[ScriptedStore], dies_at: int | None = None) -> ScriptedStore:
    return kind(contents={KEY: CONTENT}, dies_at=dies_at)


@clock_test
async def test_presence_is_told_by_the_one_that_answers(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in (Slow, Slow, ScriptedStore):
        cluster.add(having(kind))
    reader = cluster.reader()
    assert await reader.present(KEY)
    assert trio.current_time() == 2 * HEAD_START
    assert [m.partition(":")[0] for m in caplog.messages] == ["n0 failed", "n1 failed"]
    # Another one is asked first from now on, for a time, and they are not given up.
    assert await reader.present(KEY)
    assert trio.current_time() == 2 * HEAD_START
    await trio.sleep(LATE)
    assert [node.name for node in reader.ordered(KEY)] == ["n0", "n1", "n2"]


@clock_test
async def test_a_slow_node_is_waited_for_where_no_other_has_it(
    cluster: Cluster,
) -> None:
    cluster.add(having(Slow))
    cluster.add(ScriptedStore())
    assert await cluster.reader().present(KEY)
    assert trio.current_time() == 10
    async with cluster.reader().get(KEY, 0, b"") as payload:
        assert await fetch(payload) == CONTENT
    assert trio.current_time() == 20


@clock_test
async def test_it_goes_on_from_a_slow_node_if_need_be(cluster: Cluster) -> None:
    cluster.add(having(Slow))
    cluster.add(having(ScriptedStore, 7))
    async with cluster.reader().get(KEY, 0, b"") as payload:
        assert trio.current_time() == HEAD_START
        assert await fetch(payload) == CONTENT
        assert await payload.verdict() is Validity.INVALID
    assert trio.current_time() == HEAD_START + 10


@clock_test
async def test_who_comes_second_is_let_go(cluster: Cluster) -> None:
    """Both answer in the same moment: the second one's payload is left, and kept in mind."""

    class Late(ScriptedStore):
        @asynccontextmanager
        async def get(
            self, key: Key, offset: int, name: bytes
        ) -> AsyncIterator[Payload]:
            with trio.CancelScope(shield=True):
                await trio.sleep_until(HEAD_START + 1)
            async with ScriptedStore.get(self, key, offset, name) as payload:
                yield payload

    stores = [having(Late), having(Late)]
    for store in stores:
        cluster.add(store)
    async with cluster.reader().get(KEY, 0, b"") as payload:
        assert sorted(len(store.left) for store in stores) == [0, 1]
        assert await fetch(payload) == CONTENT
    assert [len(store.left) for store in stores] == [1, 1]


@clock_test
async def test_cancelled_after_one_was_found(cluster: Cluster) -> None:
    class Cancels(ScriptedStore):
        @asynccontextmanager
        async def get(
            self, key: Key, offset: int, name: bytes
        ) -> AsyncIterator[Payload]:
            scope.cancel()
            async with ScriptedStore.get(self, key, offset, name) as payload:
                yield payload

    store = having(Cancels)
    cluster.add(store)
    cluster.add(MemoryStore())
    with trio.CancelScope() as scope:
        async with cluster.reader().get(KEY, 0, b""):
            raise AssertionError("nobody wants it any more")
    assert scope.cancelled_caught
    assert len(store.left) == 1


@clock_test
async def test_what_is_no_nodes_failure_comes_out_as_it_is(cluster: Cluster) -> None:
    async def ask(node: object) -> None:
        raise ZeroDivisionError

    for _ in range(2):
        cluster.add(MemoryStore())
    with pytest.raises(ZeroDivisionError):
        await Race(ask).run(cluster.nodes)


# -- silence later on ---------------------------------------------------------------------


def hanging_peer(said: bytes, links: list[Link]) -> PeerStore:
    """A node that says so much and then nothing more."""

    async def connect() -> Link:
        ours, theirs = link_pair(pipes=True)
        ours.name = "n0"
        links.append(theirs)
        await theirs.write(b"AUTH-SUCCESS %s\nVERSION 4\n" % uuid_of(0) + said)
        return ours

    peer = PeerStore("n0", uuid_of(0), connect, timeout=60)
    peer.newest = 4
    return peer


@clock_test
async def test_a_node_that_says_no_verdict_holds_up_for_a_short_time(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    links: list[Link] = []
    peer = hanging_peer(b"DATA 20\n" + CONTENT, links)
    cluster.nodes.append(Node("n0", uuid_of(0), peer))
    cluster.listed.add(uuid_of(0))
    async with cluster.reader().get(KEY, 0, b"") as payload:
        assert await fetch(payload) == CONTENT
        assert await payload.verdict() is Validity.INVALID
        payload.kept = True
    assert trio.current_time() == 60
    assert is_missing(cluster.nodes[0])
    assert [m.partition(";")[0] for m in caplog.messages] == [
        "n0 failed: n0 was silent for 1m in the middle of a payload"
    ]
    await peer.aclose()
    links[0].close()


@clock_test
async def test_the_only_node_is_waited_for_longer(cluster: Cluster) -> None:
    links: list[Link] = []
    peer = hanging_peer(b"DATA 20\n" + CONTENT[:9], links)
    cluster.nodes.append(Node("n0", uuid_of(0), peer))
    cluster.listed.add(uuid_of(0))
    with pytest.raises(PayloadStalled, match="n0 was silent for 5m"):
        async with cluster.reader().get(KEY, 0, b"") as payload:
            await fetch(payload)
    assert trio.current_time() == 300
    await peer.aclose()
    links[0].close()


@clock_test
async def test_a_node_that_answers_at_once_is_asked_without_a_task() -> None:
    asked: list[tuple[str, bool]] = []
    asker = trio.lowlevel.current_task()

    async def ask(node: Node) -> str | None:
        asked.append((node.name, trio.lowlevel.current_task() is asker))
        return node.name if node.name == "last" else None

    def node(name: str, prompt: bool) -> Node:
        return Node(name, uuid_of(1), MemoryStore(), prompt=lambda: prompt)

    near, other = node("near", True), node("other", True)
    race = Race(ask)
    assert await race.run([near, other, node("last", False)]) == "last"
    assert asked == [("near", True), ("other", True), ("last", True)]
    asked.clear()
    race = Race(ask)
    assert await race.run([near, node("far", False), node("last", False)]) == "last"
    # From the first one on that may keep us waiting, the next one may be needed meanwhile.
    assert asked == [("near", True), ("far", False), ("last", False)]
    race = Race(ask)
    assert await race.run([near, node("last", True), other]) == "last"
    assert [left.name for left in race.unasked] == ["other"]
