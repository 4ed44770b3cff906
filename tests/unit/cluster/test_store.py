"""A cluster's session: its nodes, its clock, and the log that it mends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trio

from annexshell.cluster.context import Context
from annexshell.cluster.node import Node
from annexshell.cluster.store import ClusterStore
from annexshell.repository.busy import Busy
from annexshell.repository.keylocks import KeyLocks
from tests.support.async_tests import clock_test
from tests.support.clusters import N1, N2, C, Faulty, cluster_of, inline
from tests.support.locations import MemoryLocations
from tests.support.memory_store import MemoryStore, key_of
from tests.support.sending import sent

CONTENT = b"content"
K = key_of(CONTENT)


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio.to_thread.run_sync", inline)


@clock_test
async def test_nodes_are_chosen_once_at_the_first_request(tmp_path: Path) -> None:
    chosen: list[Sequence[Node]] = []

    def select() -> Sequence[Node]:
        chosen.append([Node("n1", N1, MemoryStore())])
        return chosen[-1]

    top = str(tmp_path)
    store = ClusterStore(
        Context(C, "c", MemoryLocations(), KeyLocks(top, top), Busy(top)), select
    )
    await store.timestamp()
    async with store.lock(K) as held:
        assert held is None
    assert chosen == []
    assert (await sent(store, K, CONTENT)).others == (N1,)
    assert await store.present(K)
    assert (await store.remove(K)).ok
    assert len(chosen) == 1


@pytest.mark.parametrize("prompt", [True, False])
def test_a_thread_chooses_nodes_where_programs_are_asked(
    prompt: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[object] = []

    async def counted(work: Callable[[], object]) -> object:
        threads.append(work)
        return work()

    monkeypatch.setattr("trio.to_thread.run_sync", counted)
    nodes = [Node("n1", N1, MemoryStore())]
    top = str(tmp_path)
    log, locks, busy = MemoryLocations(), KeyLocks(top, top), Busy(top)
    store = ClusterStore(
        Context(C, "c", log, locks, busy, prompt=prompt), lambda: nodes
    )
    assert not trio.run(store.present, K)
    assert len(threads) == (0 if prompt else 1)


@clock_test
async def test_our_own_clock_is_told_and_no_node_asked(tmp_path: Path) -> None:
    node = Faulty(at="timestamp")
    cluster = cluster_of({N1: node}, tmp_path)
    cluster.clock = lambda: 77.9
    assert await cluster.session().timestamp() == 77
    assert node.steps == []


@clock_test
async def test_a_log_that_is_wrong_of_a_node_is_mended(tmp_path: Path) -> None:
    node = Faulty(at="")
    cluster = cluster_of({N1: node, N2: MemoryStore()}, tmp_path)
    cluster.locations.places.add((K, N1))
    assert not await cluster.session().present(K)
    assert cluster.locations.holders(K) == frozenset()
    assert node.steps == ["present", "present"], "asked again under the lock"


@clock_test
async def test_a_log_is_not_mended_while_somebody_changes_it(tmp_path: Path) -> None:
    cluster = cluster_of({N1: MemoryStore()}, tmp_path)
    cluster.locations.places.add((K, N1))
    lock = cluster.locks.try_change(K)
    assert lock is not None
    with lock:
        assert not await cluster.session().present(K)
    assert cluster.locations.holders(K) == {N1}


@clock_test
async def test_a_node_that_got_it_meanwhile_keeps_its_line(tmp_path: Path) -> None:
    class Late(MemoryStore):
        async def present(self, key: object) -> bool:
            found = K in self.contents
            self.contents[K] = CONTENT
            return found

    cluster = cluster_of({N1: Late()}, tmp_path)
    cluster.locations.places.add((K, N1))
    assert not await cluster.session().present(K)
    assert cluster.locations.holders(K) == {N1}


@clock_test
async def test_a_node_that_cannot_be_reached_fails_at_once_for_a_while(
    tmp_path: Path,
) -> None:
    from annexshell.errors import PeerUnreachable

    missing = Faulty(error=PeerUnreachable(name="n1", detail="no route"))
    cluster = cluster_of({N1: missing, N2: MemoryStore()}, tmp_path)
    session = cluster.session()
    assert (await sent(session, K, CONTENT)).others == (N2,)
    other = key_of(b"other")
    assert (await sent(session, other, b"other")).others == (N2,)
    assert missing.steps == ["asked"]
