"""Removing from all nodes: together, within each node's own time (spec 01 §8.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from annexshell.cluster.errors import NoneRemoved
from annexshell.cluster.removing import translated
from annexshell.errors import (
    ContentLocked,
    LinkClosed,
    LockTimeout,
    PeerFailed,
    PeerRefused,
    PeerUnreachable,
    StorageFailed,
)
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.store import Outcome, Store
from tests.support.async_tests import clock_test, trio_test
from tests.support.clusters import (
    FAR,
    N1,
    N2,
    N3,
    OTHER,
    C,
    Cluster,
    Faulty,
    cluster_of,
    inline,
)
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import peer_of

CONTENT = b"content"
K = key_of(CONTENT)
DEATH = PeerFailed(name="n1", detail="it died")


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio.to_thread.run_sync", inline)


@attrs.define
class Timed(MemoryStore):
    """A node that remembers the limits it was given."""

    limits: list[int | None] = attrs.field(factory=list)

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        self.limits.append(before)
        return await MemoryStore.remove(self, key, before)


def holding(**more: object) -> MemoryStore:
    return MemoryStore(contents={K: CONTENT}, **more)  # type: ignore[arg-type]


def failing(at: str, error: Exception | None = DEATH, **more: object) -> Faulty:
    found = Faulty(at=at, error=error, **more)  # type: ignore[arg-type]
    found.contents[K] = CONTENT
    return found


def listed(cluster: Cluster, *uuids: UUID) -> None:
    cluster.locations.places.update((K, uuid) for uuid in uuids)


# -- together ------------------------------------------------------------------------------


@trio_test
async def test_it_is_removed_everywhere_and_one_write_says_so(tmp_path: Path) -> None:
    """Whatever the log says: it may be out of date."""
    stores = {N1: holding(), N2: MemoryStore(), N3: holding()}
    cluster = cluster_of(stores, tmp_path)
    listed(cluster, N1)
    assert await cluster.session().remove(K) == Outcome(True, (N1, N2, N3))
    assert cluster.locations.writes == [{N1: False, N2: False, N3: False}]
    assert all(not store.contents for store in stores.values())


@pytest.mark.parametrize(
    "error",
    [
        DEATH,
        PeerUnreachable(name="n1", detail="no route"),
        PeerRefused(detail="it is locked"),
        ContentLocked(key=K, detail=""),
        OSError(5, "Input/output error"),
    ],
)
@clock_test
async def test_what_was_removed_is_named_and_recorded_though_another_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    cluster = cluster_of({N1: failing("remove", error), N2: holding()}, tmp_path)
    listed(cluster, N1, N2)
    assert await cluster.session().remove(K) == Outcome(False, (N2,))
    assert cluster.locations.holders(K) == {N1}
    assert len(caplog.messages) == 1 and "n1" in caplog.messages[0]


@clock_test
async def test_a_node_that_only_says_failure(tmp_path: Path) -> None:
    class Unwilling(MemoryStore):
        async def remove(self, key: Key, before: int | None = None) -> Outcome:
            return Outcome(False, (OTHER, N2, UUID(b"aa")))

    cluster = cluster_of({N1: Unwilling(), N2: failing("remove")}, tmp_path)
    assert await cluster.session().remove(K) == Outcome(False, (OTHER,))
    assert cluster.locations.writes == [{OTHER: False}]


@clock_test
async def test_where_nothing_was_removed_the_first_reason_is_told(
    tmp_path: Path,
) -> None:
    cluster = cluster_of({N1: failing("remove"), N2: failing("remove")}, tmp_path)
    with pytest.raises(NoneRemoved, match="cluster c .*n1 failed: it died"):
        await cluster.session().remove(K)
    assert cluster.locations.records == []


@clock_test
async def test_a_cluster_without_nodes_removes_nothing(tmp_path: Path) -> None:
    outcome = await cluster_of({}, tmp_path).session().remove(K)
    assert not outcome.ok and "no available nodes" in outcome.reason


@clock_test
async def test_a_removal_that_is_cancelled_records_what_it_did(tmp_path: Path) -> None:
    cluster = cluster_of({N1: failing("remove", None), N2: holding()}, tmp_path)
    listed(cluster, N1, N2)
    with trio.move_on_after(5) as scope:
        await cluster.session().remove(K)
    assert scope.cancelled_caught
    assert cluster.locations.holders(K) == {N1}


@clock_test
async def test_a_log_that_cannot_be_written_changes_nothing_of_the_truth(
    tmp_path: Path,
) -> None:
    cluster = cluster_of({N1: holding()}, tmp_path)
    cluster.locations.broken = True
    assert (await cluster.session().remove(K)).ok


# -- those behind other gateways -----------------------------------------------------------


@clock_test
async def test_a_listed_node_that_nobody_reached_is_not_removed(tmp_path: Path) -> None:
    cluster = cluster_of({N1: holding()}, tmp_path, beyond=frozenset({FAR}))
    listed(cluster, N1, FAR)
    outcome = await cluster.session().remove(K)
    assert not outcome.ok and outcome.others == (N1,)
    assert FAR.decode() in outcome.reason
    assert cluster.locations.holders(K) == {FAR}


@clock_test
async def test_copies_outside_of_the_cluster_may_stay(tmp_path: Path) -> None:
    cluster = cluster_of({N1: holding()}, tmp_path)
    listed(cluster, N1, OTHER)
    assert await cluster.session().remove(K) == Outcome(True, (N1,))


@clock_test
async def test_a_gateway_is_believed_of_the_nodes_behind_it(tmp_path: Path) -> None:
    gateway = Faulty(at="", others=(C, FAR, OTHER, N1, UUID(b"aa")))
    cluster = cluster_of(
        {N1: holding()}, tmp_path, gateway=gateway, beyond=frozenset({FAR})
    )
    listed(cluster, N1, FAR, OTHER)
    assert await cluster.session().remove(K) == Outcome(True, (N1, FAR))
    assert cluster.locations.holders(K) == {OTHER}


@clock_test
async def test_a_gateway_is_not_believed_of_nodes_that_answered_us(
    tmp_path: Path,
) -> None:
    gateway = Faulty(at="", others=(FAR, N1))
    cluster = cluster_of(
        {N1: failing("remove")}, tmp_path, gateway=gateway, beyond=frozenset({FAR})
    )
    listed(cluster, N1, FAR)
    assert await cluster.session().remove(K) == Outcome(False, (FAR,))
    assert cluster.locations.holders(K) == {N1}


@clock_test
async def test_a_gateway_that_names_nobody_leaves_doubt(tmp_path: Path) -> None:
    cluster = cluster_of({}, tmp_path, gateway=MemoryStore(), beyond=frozenset({FAR}))
    listed(cluster, FAR)
    assert not (await cluster.session().remove(K)).ok
    cluster.locations.places.clear()
    assert await cluster.session().remove(K) == Outcome(True)


@clock_test
async def test_who_relays_to_us_answers_for_what_it_had_us_leave_out(
    tmp_path: Path,
) -> None:
    cluster = cluster_of({N1: holding()}, tmp_path, beyond=frozenset({FAR}))
    listed(cluster, N1, FAR)
    cluster.relayed = True
    assert await cluster.session().remove(K) == Outcome(True, (N1,))


# -- in time -------------------------------------------------------------------------------


@pytest.mark.parametrize("theirs, limit", [(1003191, 1003291), (2691, 2791)])
@clock_test
async def test_a_limit_is_told_in_each_nodes_own_time(
    tmp_path: Path, theirs: int, limit: int
) -> None:
    ours, other = Timed(now=3191), Timed(now=theirs)
    cluster = cluster_of({N1: ours, N2: other}, tmp_path)
    cluster.clock = lambda: 3191.0
    session = cluster.session()
    assert await session.timestamp() == 3191
    assert (await session.remove(K, 3291)).ok
    assert ours.limits == [3291] and other.limits == [limit]


@given(
    before=st.integers(0, 10**6),
    delay=st.floats(0, 1000),
    ours=st.floats(0, 10**6),
    theirs=st.floats(0, 10**6),
)
def test_no_node_is_given_more_time_than_the_client_gave(
    before: int, delay: float, ours: float, theirs: float
) -> None:
    """A node reads its clock, rounded down; its answer takes a while; then we read ours,
    rounded up. When the node's limit is there, the client's has been at the latest."""
    limit = translated(before, int(theirs), -int(-(ours + delay) // 1))
    left_there, left_here = limit - theirs, before - ours
    assert left_there <= max(left_here, 0) + 1e-6 or limit == 0


@clock_test
async def test_clocks_are_read_in_the_order_that_shortens(tmp_path: Path) -> None:
    class Slow(Timed):
        async def timestamp(self) -> int:
            now = self.now
            await trio.sleep(30)
            return now

    node, begun = Slow(now=500), trio.current_time()
    cluster = cluster_of({N1: node}, tmp_path)
    cluster.clock = lambda: 1000.25 + trio.current_time() - begun
    assert (await cluster.session().remove(K, 1100)).ok
    assert node.limits == [500 + 1100 - 1031]


@clock_test
async def test_what_may_not_be_removed_any_more_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = {N1: holding(now=5), N2: holding(now=10**9)}
    cluster = cluster_of(dict(nodes), tmp_path)
    listed(cluster, N1, N2)
    session = cluster.session()
    assert not (await session.remove(K, await session.timestamp())).ok
    assert not (await session.remove(K, 0)).ok
    assert caplog.text.count("n1 failed: the time until which") == 2
    assert [store.contents for store in nodes.values()] == [{K: CONTENT}] * 2
    assert cluster.locations.holders(K) == {N1, N2}
    assert (await session.remove(K, await session.timestamp() + 1000)).ok


@clock_test
async def test_sessions_remember_no_times(tmp_path: Path) -> None:
    """A node that was started anew since begins to count from zero."""
    node = Timed(now=50_000)
    node.contents[K] = CONTENT
    cluster = cluster_of({N1: node}, tmp_path)
    cluster.clock = lambda: 1000.0
    session = cluster.session()
    assert await session.timestamp() == 1000
    node.now = 7
    assert (await session.remove(K, 1010)).ok
    assert node.limits == [17]


@pytest.mark.parametrize("version", range(5))
@trio_test
async def test_old_nodes_are_never_asked_without_the_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: int
) -> None:
    inner = holding()
    async with peer_of(inner, version=version) as (peer, _):
        cluster = cluster_of({N1: peer, N2: MemoryStore()}, tmp_path)
        session = cluster.session()
        outcome = await session.remove(K, await session.timestamp() + 1000)
        assert outcome.ok == (version >= 3) == (K not in inner.contents)
        assert outcome.others == ((N1, N2) if version >= 3 else (N2,))
        assert ("too old" in caplog.text) == (version < 3)
        inner.contents.clear()
        outcome = await session.remove(K, await session.timestamp() + 1000)
        assert outcome == Outcome(True, (N1, N2))


@clock_test
async def test_a_node_that_knows_no_time_says_so(tmp_path: Path) -> None:
    node = failing("timestamp", PeerRefused(detail="unknown command"))
    session = cluster_of({N1: node}, tmp_path).session()
    with pytest.raises(NoneRemoved, match="n1.*unknown command.*upgrade git-annex"):
        await session.remove(K, await session.timestamp() + 1000)
    assert node.steps == ["timestamp", "present"]


@pytest.mark.parametrize(
    "error",
    [PeerUnreachable(name="n1", detail="no route"), LinkClosed(name="n1")],
)
@clock_test
async def test_a_node_that_is_gone_is_not_asked_twice(
    tmp_path: Path, error: Exception
) -> None:
    node = failing("timestamp", error)
    session = cluster_of({N1: node}, tmp_path).session()
    with pytest.raises(NoneRemoved):
        await session.remove(K, await session.timestamp() + 1000)
    assert node.steps == ["timestamp"]


@pytest.mark.parametrize("step", ["timestamp", "remove", "removed"])
@clock_test
async def test_a_node_that_fails_at_any_step_has_failed(
    tmp_path: Path, step: str
) -> None:
    node = failing(step)
    cluster = cluster_of({N1: node, N2: holding()}, tmp_path)
    listed(cluster, N1, N2)
    session = cluster.session()
    outcome = await session.remove(K, await session.timestamp() + 1000)
    # Also where it is gone: nobody said so.
    assert outcome == Outcome(False, (N2,))
    assert cluster.locations.holders(K) == {N1}
    assert (K in node.contents) == (step != "removed")


@clock_test
async def test_an_old_gateway_cannot_say_that_it_is_absent(tmp_path: Path) -> None:
    gateway = Faulty(at="timestamp", error=PeerFailed(name="g", detail="too old"))
    cluster = cluster_of({N1: MemoryStore()}, tmp_path, gateway=gateway)
    session = cluster.session()
    assert not (await session.remove(K, await session.timestamp() + 1000)).ok


# -- locks ---------------------------------------------------------------------------------


@asynccontextmanager
async def held(cluster: Cluster) -> AsyncIterator[None]:
    lock = cluster.locks.try_change(K)
    assert lock is not None
    with lock:
        yield


async def waited(session: Store) -> float:
    begun = trio.current_time()
    with pytest.raises(LockTimeout):
        await session.remove(K)
    return trio.current_time() - begun


@clock_test
async def test_it_waits_for_an_upload_to_be_stored_but_not_for_ever(
    tmp_path: Path,
) -> None:
    node = failing("remove")
    cluster = cluster_of({N1: node}, tmp_path)
    async with held(cluster):
        long = await waited(cluster.session())
        cluster.relayed = True
        assert await waited(cluster.session()) < long / 10
    assert node.steps == []


@clock_test
async def test_without_locks_nothing_is_removed(tmp_path: Path) -> None:
    (tmp_path / "locks").write_bytes(b"a file")
    node = holding()
    cluster = cluster_of({N1: node}, tmp_path)
    with pytest.raises(StorageFailed):
        await cluster.session().remove(K)
    assert K in node.contents
