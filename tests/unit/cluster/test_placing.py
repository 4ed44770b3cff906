"""An upload goes where it belongs, and room there is reserved meanwhile (spec 04 §11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import trio

from annexshell.cluster.errors import NoneStored
from annexshell.cluster.plan import Unwanted
from annexshell.errors import PayloadShort, PeerFailed, PeerUnreachable
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.store import AlreadyHave, Outcome, Store
from tests.support.async_tests import clock_test
from tests.support.clusters import FAR, N1, N2, N3, Cluster, Faulty, cluster_of, inline
from tests.support.locations import MemoryLocations
from tests.support.memory_store import MemoryStore, key_of
from tests.support.placers import MemoryPlacer, only
from tests.support.sending import sent

CONTENT = b"0123456789abcdefghij"
K = key_of(CONTENT)
DEATH = PeerFailed(name="n1", detail="it died")
GONE = PeerUnreachable(name="n1", detail="no route")
FULL = PeerFailed(name="n1", detail="not enough free space")


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio.to_thread.run_sync", inline)


def three(path: Path, placer: MemoryPlacer, first: Store | None = None) -> Cluster:
    stores = {N1: first or MemoryStore(), N2: MemoryStore(), N3: MemoryStore()}
    cluster = cluster_of(stores, path)
    cluster.placer = placer
    return cluster


async def offered(store: Store, name: bytes = b"") -> int | AlreadyHave:
    async with store.put(K, name) as intake:
        return intake if isinstance(intake, AlreadyHave) else intake.offset


def has_it(cluster: Cluster) -> list[str]:
    """The nodes that have the content, which are those of which the log says so."""
    found = []
    for node in cluster.nodes:
        assert isinstance(node.store, MemoryStore)
        listed = (K, node.uuid) in cluster.locations.places
        assert listed == (K in node.store.contents)
        if listed:
            found.append(node.name)
    assert cluster.placer.reserved == []
    return found


# -- who gets it ---------------------------------------------------------------------------


@clock_test
async def test_those_that_want_it_get_it(tmp_path: Path) -> None:
    placer = MemoryPlacer(lambda uuid, key, name: uuid == N2 and name == b"name")
    cluster = cluster_of({N1: MemoryStore(), N2: MemoryStore()}, tmp_path)
    cluster.placer = placer
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N2,))
    other = key_of(b"other")
    async with cluster.session().put(other, b"no name") as intake:
        assert not isinstance(intake, AlreadyHave)
        assert placer.reserved[0].uuids == {N1, N2}
    assert placer.history == [{N2}, {N1, N2}]


@clock_test
async def test_what_another_gateway_relays_and_asks_elsewhere_as_well(
    tmp_path: Path,
) -> None:
    """It cannot know which of its gateways leads to whoever wants it."""
    placer = MemoryPlacer(only(FAR), space={N1: 100, N2: 200, N3: 100})
    cluster = three(tmp_path, placer)
    (living,) = cluster.locations.nodes
    cluster.locations.nodes[living] |= {FAR}
    cluster.relayed = True
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N2,))
    cluster.relayed = False
    other = key_of(CONTENT[::-1])
    assert len((await sent(cluster.session(), other, CONTENT[::-1])).others) == 3


@pytest.mark.parametrize("error", [DEATH, FULL, GONE])
@clock_test
async def test_one_other_takes_the_place_of_one_that_fails(
    tmp_path: Path, error: Exception
) -> None:
    placer = MemoryPlacer(only(N1), space={N2: 100, N3: 200})
    cluster = three(tmp_path, placer, Faulty(error=error))
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N3,))
    assert has_it(cluster) == ["n3"]
    assert placer.history == [{N1}, {N3}]


@clock_test
async def test_one_that_fails_beside_another_wanting_one_is_not_replaced(
    tmp_path: Path,
) -> None:
    cluster = three(tmp_path, MemoryPlacer(only(N1, N2)), Faulty(error=DEATH))
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N2,))
    assert has_it(cluster) == ["n2"]


@pytest.mark.parametrize("step", [1, "sent", "judged"])
@clock_test
async def test_one_other_takes_the_place_of_one_that_failed_in_the_middle(
    tmp_path: Path, step: str | int
) -> None:
    """A client that tries again is the only way to have its bytes again."""
    cluster = three(tmp_path, MemoryPlacer(only(N1)), Faulty(at=step, error=FULL))
    session = cluster.session()
    assert not (await sent(session, K, CONTENT)).ok
    assert (await sent(session, K, CONTENT)).others == (N2,)
    assert has_it(cluster) == ["n2"]
    # Another key is another question.
    async with session.put(key_of(b"other"), b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        assert cluster.placer.reserved[0].uuids == {N1}


@clock_test
async def test_content_that_is_wrong_is_no_fault_of_a_node(tmp_path: Path) -> None:
    cluster = three(tmp_path, MemoryPlacer(only(N1)))
    session = cluster.session()
    bad = CONTENT[:-1] + b"X"
    assert not (await sent(session, K, bad, Validity.INVALID)).ok
    assert (await sent(session, K, CONTENT)).others == (N1,)


@clock_test
async def test_where_all_failed_all_are_asked_again(tmp_path: Path) -> None:
    nodes = {uuid: Faulty(at="sent", error=FULL) for uuid in (N1, N2)}
    cluster = cluster_of(nodes, tmp_path)
    session = cluster.session()
    assert not (await sent(session, K, CONTENT)).ok
    for node in nodes.values():
        node.at = ""
    assert (await sent(session, K, CONTENT)).others == (N1, N2)


@clock_test
async def test_where_all_fail_nothing_is_claimed_nor_reserved(tmp_path: Path) -> None:
    stores = {uuid: Faulty(error=DEATH) for uuid in (N1, N2, N3)}
    cluster = cluster_of(stores, tmp_path)
    cluster.placer = MemoryPlacer(only(N3))
    with pytest.raises(NoneStored):
        await sent(cluster.session(), K, CONTENT)
    assert has_it(cluster) == []
    assert [len(uuids) for uuids in cluster.placer.history] == [1, 1, 1]
    assert all(store.steps == ["asked"] for store in stores.values())


@pytest.mark.parametrize(
    "unwanted, names", [(Unwanted.ALL, ["n1", "n2", "n3"]), (Unwanted.ONE, ["n2"])]
)
@clock_test
async def test_what_nobody_wants_is_stored(
    tmp_path: Path, unwanted: Unwanted, names: list[str]
) -> None:
    placer = MemoryPlacer(only(), space={N1: 50, N2: 60})
    cluster = three(tmp_path, placer)
    cluster.unwanted = unwanted
    assert (await sent(cluster.session(), K, CONTENT)).ok
    assert has_it(cluster) == names
    if unwanted is Unwanted.ONE:
        placer.space = {}
        assert await offered(cluster.session()) == AlreadyHave((N2,))


@clock_test
async def test_full_nodes_are_asked_before_nothing_is_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = three(tmp_path, MemoryPlacer(space={N1: 1, N2: 1, N3: 1}))
    assert (await sent(cluster.session(), K, CONTENT)).ok
    assert has_it(cluster) == ["n1", "n2", "n3"]
    assert caplog.messages == [
        "nobody else takes the content; asking those without room: n1, n2, n3"
    ]


@clock_test
async def test_a_full_disk_is_named_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = three(tmp_path, MemoryPlacer(only(N1, N2)))
    cluster.nodes[0].room = lambda: len(CONTENT) - 1
    cluster.nodes[1].room = lambda: len(CONTENT)
    cluster.nodes[2].room = lambda: 0
    assert (await sent(cluster.session(), K, CONTENT)).ok
    assert has_it(cluster) == ["n2"]
    assert caplog.messages == ["n1 has no room on its disk for the content"]


@clock_test
async def test_the_disk_of_a_node_that_is_missing_or_has_it_is_left_alone(
    tmp_path: Path,
) -> None:
    cluster = three(tmp_path, MemoryPlacer(), Faulty(error=GONE))
    asked: list[str] = []

    def room(name: str) -> int | None:
        asked.append(name)
        return None

    for node in cluster.nodes:
        node.room = partial(room, node.name)
    cluster.locations.places.add((K, N3))
    session = cluster.session()
    assert (await sent(session, K, CONTENT)).others == (N2,)
    assert asked == ["n1", "n2"]
    asked.clear()
    await sent(session, key_of(b"other"), b"other")
    assert asked == ["n2", "n3"]


# -- what is there already -----------------------------------------------------------------


@clock_test
async def test_what_is_where_it_is_wanted_moves_nowhere(tmp_path: Path) -> None:
    """git-annex copies it to all others (spec 04 §11.3)."""
    cluster = three(tmp_path, MemoryPlacer(only(N1)))
    assert (await sent(cluster.session(), K, CONTENT)).others == (N1,)
    for _ in range(2):
        assert await offered(cluster.session()) == AlreadyHave((N1,))
    assert has_it(cluster) == ["n1"]
    assert cluster.placer.history == [{N1}, set(), set()]


@clock_test
async def test_one_that_begins_to_want_it_gets_it(tmp_path: Path) -> None:
    cluster = three(tmp_path, MemoryPlacer(only(N1)))
    await sent(cluster.session(), K, CONTENT)
    cluster.placer.wanted = only(N3)
    assert (await sent(cluster.session(), K, CONTENT)).others == (N3,)
    assert has_it(cluster) == ["n1", "n3"]


@clock_test
async def test_one_that_has_it_is_not_to_be_restored_elsewhere(tmp_path: Path) -> None:
    """One of those listed has lost it, and does not want it."""
    cluster = three(tmp_path, MemoryPlacer(only(N1)))
    await sent(cluster.session(), K, CONTENT)
    cluster.locations.places.add((K, N2))
    assert await offered(cluster.session()) == AlreadyHave((N1,))
    lost = cluster.nodes[1].store
    assert isinstance(lost, MemoryStore) and not lost.contents and not lost.incoming


@clock_test
async def test_one_that_lost_it_and_wants_it_gets_it_back(tmp_path: Path) -> None:
    cluster = three(tmp_path, MemoryPlacer(only(N1, N2)))
    await sent(cluster.session(), K, CONTENT)
    lost = cluster.nodes[1].store
    assert isinstance(lost, MemoryStore)
    lost.contents.clear()
    assert (await sent(cluster.session(), K, CONTENT)).others == (N1, N2)
    assert has_it(cluster) == ["n1", "n2"]


@clock_test
async def test_a_log_that_is_wrong_of_all_is_mended_where_it_was_wrong(
    tmp_path: Path,
) -> None:
    cluster = three(tmp_path, MemoryPlacer(only()))
    cluster.locations.places.add((K, N2))
    assert (await sent(cluster.session(), K, CONTENT)).others == (N2,)
    assert has_it(cluster) == ["n2"]


@clock_test
async def test_one_that_has_it_and_is_gone_is_replaced_by_one(tmp_path: Path) -> None:
    cluster = three(tmp_path, MemoryPlacer(only(N1)), Faulty(error=DEATH))
    cluster.locations.places.add((K, N1))
    assert (await sent(cluster.session(), K, CONTENT)).others == (N2,)
    assert cluster.placer.history == [set(), {N2}]


@clock_test
async def test_one_that_wants_it_and_has_it_against_the_log_is_enough(
    tmp_path: Path,
) -> None:
    have = MemoryStore(contents={K: CONTENT})
    cluster = three(tmp_path, MemoryPlacer(only(N1)), have)
    assert await offered(cluster.session()) == AlreadyHave((N1,))
    assert has_it(cluster) == ["n1"]


# -- what is reserved ----------------------------------------------------------------------


class Watched(MemoryLocations):
    """A log that calls ``seen`` before it is written."""

    def __init__(self, seen: Callable[[], None]) -> None:
        super().__init__(frozenset({N1, N2, N3}))
        self.seen = seen

    def record_all(self, key: Key, found: Mapping[UUID, bool]) -> bool:
        self.seen()
        return super().record_all(key, found)


@clock_test
async def test_room_is_kept_until_it_is_recorded(tmp_path: Path) -> None:
    cluster = three(tmp_path, MemoryPlacer(only(N1)))
    kept: list[bool] = []
    cluster.locations = Watched(lambda: kept.append(bool(cluster.placer.reserved)))
    async with cluster.session().put(K, b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        assert cluster.placer.reserved[0].uuids == {N1}
    assert cluster.placer.reserved == []
    assert (await sent(cluster.session(), K, CONTENT)).ok
    assert kept == [True]
    assert has_it(cluster) == ["n1"]


@pytest.mark.parametrize("step", ["asked", "offering", 1, 20, "sent", "judged"])
@clock_test
async def test_what_is_reserved_is_freed_where_nodes_die(
    tmp_path: Path, step: str | int
) -> None:
    stores = {uuid: Faulty(at=step, error=DEATH) for uuid in (N1, N2)}
    cluster = cluster_of(stores, tmp_path)
    try:
        assert not (await sent(cluster.session(), K, CONTENT)).ok
    except NoneStored:
        assert step in ("asked", "offering")
    assert cluster.placer.history and cluster.placer.reserved == []


@pytest.mark.parametrize("step", ["asked", "offering", 1, "judged"])
@clock_test
async def test_what_is_reserved_is_freed_where_the_client_is_gone(
    tmp_path: Path, step: str | int
) -> None:
    cluster = three(tmp_path, MemoryPlacer(only(N1)), Faulty(at=step))
    with trio.move_on_after(1) as scope:
        await sent(cluster.session(), K, CONTENT)
    assert scope.cancelled_caught
    assert has_it(cluster) == [] and cluster.placer.history == [{N1}]


@clock_test
async def test_what_is_reserved_is_freed_where_the_client_ends_early(
    tmp_path: Path,
) -> None:
    cluster = three(tmp_path, MemoryPlacer(only(N1)))
    with pytest.raises(PayloadShort):
        await sent(cluster.session(), K, CONTENT[:11], promised=20)
    assert has_it(cluster) == []


@clock_test
async def test_nothing_is_reserved_where_a_gateway_may_not_bring_it(
    tmp_path: Path,
) -> None:
    """The client is a node behind that gateway, and has it."""
    cluster = cluster_of(
        {N1: MemoryStore()},
        tmp_path,
        gateway=MemoryStore(),
        beyond=frozenset({FAR}),
    )
    cluster.placer = MemoryPlacer(only(FAR, N1))
    cluster.client = FAR
    assert (await sent(cluster.session(), K, CONTENT)).others == (N1,)
    assert cluster.placer.history == [{N1}]


@clock_test
async def test_who_asks_us_asks_nobody_else_for_its_own_nodes(tmp_path: Path) -> None:
    """One that lacks it may be the node of the gateway that asks us."""
    far = MemoryStore()
    stores = {N1: MemoryStore(), N2: MemoryStore()}
    cluster = cluster_of(stores, tmp_path, gateway=far, beyond=frozenset({FAR}))
    cluster.placer = MemoryPlacer(only(FAR, N1))
    assert (await sent(cluster.session(), K, CONTENT)).others == (N1,)
    assert far.contents and cluster.placer.history == [{FAR, N1}]
    far.contents.clear()
    stores[N1].contents.clear()
    cluster.locations.places.clear()
    cluster.bypassed = (FAR,)
    assert (await sent(cluster.session(), K, CONTENT)).others == (N1,)
    assert not far.contents and not stores[N2].contents
