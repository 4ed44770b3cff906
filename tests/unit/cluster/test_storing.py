"""One upload to several nodes, of which each may fail at each step (spec 01 §8.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from annexshell.cluster.context import Patience
from annexshell.cluster.errors import NoneStored, NoNodes
from annexshell.errors import (
    LinkClosed,
    LockTimeout,
    PayloadShort,
    PeerFailed,
    PeerRefused,
    PeerUnreachable,
    RemovedMeanwhile,
    TransferInProgress,
)
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.store import AlreadyHave, Intake, Outcome, Store
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
from tests.support.sending import got, sent

CONTENT = b"0123456789abcdefghij"
K = key_of(CONTENT)
ONE_FAR = frozenset({FAR})
STEPS = ["asked", "offering", 1, 10, 20, "sent", "judged", "stored"]
DEATH = PeerFailed(name="n1", detail="it died")


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio.to_thread.run_sync", inline)


def agree(cluster: Cluster, *but: UUID) -> None:
    """The log says of every node what is true of it, save of those that died."""
    for node in cluster.nodes:
        if node.uuid not in but and isinstance(node.store, MemoryStore):
            logged = node.uuid in cluster.locations.holders(K)
            assert logged == (K in node.store.contents), node.name


async def offered(store: Store, key: Key = K) -> int | AlreadyHave:
    async with store.put(key, b"") as intake:
        return intake if isinstance(intake, AlreadyHave) else intake.offset


@trio_test
async def test_all_nodes_get_it_and_one_write_says_so(tmp_path: Path) -> None:
    stores = {N1: MemoryStore(), N2: MemoryStore(), N3: MemoryStore()}
    cluster = cluster_of(stores, tmp_path)
    outcome = await sent(cluster.session(), K, CONTENT)
    assert outcome == Outcome(True, (N1, N2, N3))
    assert cluster.locations.writes == [{N1: True, N2: True, N3: True}]
    assert [s.contents for s in stores.values()] == [{K: CONTENT}] * 3


@trio_test
async def test_each_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = MemoryStore(partial={K: CONTENT[:7]})
    second = MemoryStore(partial={K: CONTENT[:3]})
    cluster = cluster_of({N1: first, N2: second}, tmp_path)
    assert await offered(cluster.session()) == 3
    assert (await sent(cluster.session(), K, CONTENT)).others == (N1, N2)
    assert first.contents == second.contents == {K: CONTENT}


@trio_test
async def test_a_node_that_has_too_much_gets_nothing_more(tmp_path: Path) -> None:
    first = MemoryStore(partial={K: CONTENT * 3})
    cluster = cluster_of({N1: first, N2: MemoryStore()}, tmp_path)
    assert (await sent(cluster.session(), K, CONTENT)).others == (N2,)
    agree(cluster)


# -- one node fails ------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
@clock_test
async def test_a_node_that_dies_costs_only_its_copy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, step: str | int
) -> None:
    dying = Faulty(at=step, error=DEATH)
    cluster = cluster_of({N1: dying, N2: MemoryStore(), N3: MemoryStore()}, tmp_path)
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N2, N3))
    assert caplog.messages == ["n1 failed: it died"]
    assert dying.steps[-1] == step
    # What died after its last step has it, and nobody was told.
    agree(cluster, *([N1] if step == "stored" else []))


@pytest.mark.parametrize("step", STEPS)
@clock_test
async def test_a_node_that_hangs_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, step: str | int
) -> None:
    cluster = cluster_of({N1: Faulty(at=step), N2: MemoryStore()}, tmp_path)
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N2,))
    (told,) = caplog.messages
    assert told.startswith("n1 was left out: ")
    agree(cluster, *([N1] if step == "stored" else []))


@pytest.mark.parametrize(
    "error",
    [
        PeerUnreachable(name="n1", detail="no route"),
        PeerRefused(detail="no space"),
        LinkClosed(name="n1"),
        OSError(5, "Input/output error"),
    ],
)
@clock_test
async def test_whatever_a_node_fails_with_is_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    cluster = cluster_of({N1: Faulty(error=error), N2: MemoryStore()}, tmp_path)
    session = cluster.session()
    assert await sent(session, K, CONTENT) == Outcome(True, (N2,))
    assert len(caplog.messages) == 1 and "n1" in caplog.messages[0]


@pytest.mark.parametrize("step", STEPS)
@clock_test
async def test_where_all_nodes_die_nothing_is_claimed(
    tmp_path: Path, step: str | int
) -> None:
    nodes = {u: Faulty(at=step, error=DEATH) for u in (N1, N2)}
    cluster = cluster_of(nodes, tmp_path)
    if step in ("asked", "offering"):
        with pytest.raises(NoneStored, match="cluster c.*n1 failed: it died"):
            await sent(cluster.session(), K, CONTENT)
    else:
        outcome = await sent(cluster.session(), K, CONTENT)
        assert not outcome.ok and outcome.others == () and "it died" in outcome.reason
    assert cluster.locations.records == []


@clock_test
async def test_a_node_that_kept_others_waiting_is_given_less_time(
    tmp_path: Path,
) -> None:
    """And as much as ever once it kept up."""
    slow = Faulty(at=1)
    cluster = cluster_of({N1: slow, N2: MemoryStore()}, tmp_path)
    cluster.patience = Patience(slow=8)
    session = cluster.session()
    first = await _time_of_big(session, b"1")
    second = await _time_of_big(session, b"2")
    assert second < first
    slow.at = ""
    assert (await sent(session, K, CONTENT)).others == (N1, N2)
    slow.at = 1
    assert await _time_of_big(session, b"3") > second


async def _time_of_big(session: Store, name: bytes) -> float:
    """Seconds of an upload that does not fit into the pipe to a node."""
    big, begun = bytes(1_300_000), trio.current_time()
    key = Key.parse(b"WORM-s%d--%b" % (len(big), name))
    assert (await sent(session, key, big)).others == (N2,)
    return trio.current_time() - begun


@clock_test
async def test_content_that_is_not_the_keys_is_nowhere(tmp_path: Path) -> None:
    cluster = cluster_of({N1: MemoryStore(), N2: MemoryStore()}, tmp_path)
    outcome = await sent(cluster.session(), K, CONTENT[:-1] + b"X")
    assert not outcome.ok and outcome.others == ()
    assert outcome.reason.startswith("no node of cluster c took the content: ")
    agree(cluster)


# -- the client ----------------------------------------------------------------------------


@clock_test
async def test_where_the_client_dies_every_node_keeps_what_it_has(
    tmp_path: Path,
) -> None:
    nodes = {N1: MemoryStore(partial={K: CONTENT[:7]}), N2: MemoryStore()}
    cluster = cluster_of(nodes, tmp_path)
    with pytest.raises(PayloadShort):
        await sent(cluster.session(), K, CONTENT[:11], promised=20)
    assert [s.partial for s in nodes.values()] == [{K: CONTENT[:11]}] * 2
    assert cluster.locations.records == []
    assert await offered(cluster.session()) == 11


@clock_test
async def test_a_client_that_sends_nothing_holds_nobody(tmp_path: Path) -> None:
    nodes = {N1: MemoryStore(), N2: MemoryStore()}
    cluster = cluster_of(nodes, tmp_path)
    assert await offered(cluster.session()) == 0
    assert [s.incoming for s in nodes.values()] == [set(), set()]
    assert cluster.locations.records == []
    lock = cluster.locks.try_upload(K)
    assert lock is not None
    lock.close()


@clock_test
async def test_a_session_that_is_cancelled_records_what_was_stored(
    tmp_path: Path,
) -> None:
    cluster = cluster_of({N1: MemoryStore(), N2: Faulty(at="judged")}, tmp_path)
    with trio.move_on_after(30) as scope:
        await sent(cluster.session(), K, CONTENT)
    assert scope.cancelled_caught
    assert cluster.locations.holders(K) == {N1}
    agree(cluster)


@clock_test
async def test_one_that_hangs_in_every_upload_does_not_hold_up_each(
    tmp_path: Path,
) -> None:
    hanging = Faulty(at="asked")
    session = cluster_of({N1: hanging, N2: MemoryStore()}, tmp_path).session()
    assert await sent(session, K, CONTENT) == Outcome(True, (N2,))
    begun = trio.current_time()
    assert begun >= 60
    other = key_of(b"other")
    assert (await sent(session, other, b"other")).others == (N2,)
    assert trio.current_time() - begun < 5
    assert hanging.steps == ["asked"]


# -- who is asked --------------------------------------------------------------------------


@clock_test
async def test_a_cluster_without_nodes_has_nothing(tmp_path: Path) -> None:
    """The reference says ALREADY-HAVE, and `git annex move` drops the only copy."""
    with pytest.raises(NoNodes, match="cluster has no available nodes"):
        await offered(cluster_of({}, tmp_path).session())


@clock_test
async def test_those_that_have_it_by_the_log_are_left_alone(tmp_path: Path) -> None:
    holder, lacking = Faulty(), MemoryStore()
    cluster = cluster_of({N1: holder, N2: lacking}, tmp_path)
    cluster.locations.places.add((K, N1))
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N2,))
    assert holder.steps == []


@clock_test
async def test_where_those_that_lack_it_fail_the_others_are_asked(
    tmp_path: Path,
) -> None:
    holder = MemoryStore()
    holder.contents[K] = CONTENT
    cluster = cluster_of({N1: holder, N2: Faulty(error=DEATH)}, tmp_path)
    cluster.locations.places.add((K, N1))
    assert await offered(cluster.session()) == AlreadyHave((N1,))


@clock_test
async def test_a_log_that_is_wrong_of_all_nodes_is_no_reason_to_refuse(
    tmp_path: Path,
) -> None:
    cluster = cluster_of({N1: MemoryStore()}, tmp_path)
    cluster.locations.places.add((K, N1))
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N1,))


# -- what is there already -----------------------------------------------------------------


@clock_test
async def test_what_all_have_is_mended_in_the_log(tmp_path: Path) -> None:
    stores = {N1: MemoryStore(), N2: MemoryStore()}
    for store in stores.values():
        store.contents[K] = CONTENT
    cluster = cluster_of(stores, tmp_path)
    assert await offered(cluster.session()) == AlreadyHave((N1, N2))
    assert cluster.locations.writes == [{N1: True, N2: True}]
    assert await offered(cluster.session()) == AlreadyHave((N1, N2))
    assert len(cluster.locations.writes) == 1


@clock_test
async def test_who_has_it_is_named_with_those_that_got_it(tmp_path: Path) -> None:
    have = Faulty(at="", contents={K: CONTENT}, others=(OTHER, UUID(b"made up"), N2))
    cluster = cluster_of({N1: have, N2: MemoryStore()}, tmp_path)
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N1, OTHER, N2))
    assert cluster.locations.writes == [{N1: True, OTHER: True, N2: True}]


@clock_test
async def test_who_has_it_counts_where_the_others_fail(tmp_path: Path) -> None:
    have = MemoryStore(contents={K: CONTENT})
    failing = Faulty(at="judged", error=DEATH)
    cluster = cluster_of({N1: have, N2: failing}, tmp_path)
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N1,))


@clock_test
async def test_what_was_removed_meanwhile_is_not_there_already(
    tmp_path: Path,
) -> None:
    have = MemoryStore(contents={K: CONTENT})
    cluster = cluster_of({N1: have, N2: MemoryStore()}, tmp_path)
    async with cluster.session().put(K, b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        assert (await cluster.session().remove(K)).ok
        assert await intake.accept(whole()) == Outcome(True, (N2,))
    agree(cluster)


@clock_test
async def test_what_was_removed_while_another_node_hung_is_not_there(
    tmp_path: Path,
) -> None:
    stores = {N1: MemoryStore(contents={K: CONTENT}), N2: Faulty(at="asked")}
    cluster = cluster_of(stores, tmp_path)
    cluster.locations.places |= {(K, N1), (K, N2)}

    async def remove() -> None:
        await trio.sleep(10)
        assert (await cluster.session().remove(K)).ok

    async with trio.open_nursery() as nursery:
        nursery.start_soon(remove)
        with pytest.raises(RemovedMeanwhile):
            await offered(cluster.session())
    agree(cluster)


@clock_test
async def test_what_a_node_said_of_others_long_ago_is_not_claimed(
    tmp_path: Path,
) -> None:
    """One of those may have been removed meanwhile, and the node still has it."""
    gateway = Faulty(at="", contents={K: CONTENT}, others=(FAR,))
    cluster = cluster_of({N1: MemoryStore()}, tmp_path, gateway=gateway, beyond=ONE_FAR)
    async with cluster.session().put(K, b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        await trio.sleep(60)
        assert await intake.accept(whole()) == Outcome(True, (N1,))
    assert cluster.locations.holders(K) == {N1}


def whole() -> Payload:
    """All of the content, called valid."""

    async def said() -> Validity:
        return Validity.VALID

    return Payload(len(CONTENT), prefix=CONTENT, verdict=said)


@clock_test
async def test_a_node_that_lies_about_having_it_is_not_believed(tmp_path: Path) -> None:
    class Liar(Faulty):
        async def present(self, key: Key) -> bool:
            return False

    cluster = cluster_of({N1: Liar(at="", contents={K: CONTENT})}, tmp_path)
    with pytest.raises(RemovedMeanwhile):
        await offered(cluster.session())
    assert cluster.locations.records == []


@attrs.define
class Nowhere(MemoryStore):
    """A gateway without nodes, as git-annex is one: it has everything, and nowhere."""

    @asynccontextmanager
    async def put(self, key: Key, name: bytes) -> AsyncIterator[Intake | AlreadyHave]:
        yield AlreadyHave()


@clock_test
async def test_a_gateway_that_has_it_nowhere_is_not_believed(tmp_path: Path) -> None:
    cluster = cluster_of({}, tmp_path, gateway=Nowhere(), beyond=ONE_FAR)
    with pytest.raises(NoneStored, match="not on which node"):
        await offered(cluster.session())
    failing = Faulty(at="asked", error=DEATH)
    cluster = cluster_of({N1: failing}, tmp_path, gateway=Nowhere(), beyond=ONE_FAR)
    with pytest.raises(NoneStored, match="it died"):
        await offered(cluster.session())


@clock_test
async def test_a_node_that_sends_is_no_copy(tmp_path: Path) -> None:
    """Its client would drop the only one there is."""
    stores = {N1: MemoryStore(contents={K: CONTENT}), N2: MemoryStore()}
    cluster = cluster_of(stores, tmp_path)
    cluster.client = N1
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N2,))
    cluster.nodes[1].store = Faulty(at="asked", error=DEATH)
    with pytest.raises(NoneStored):
        await offered(cluster.session())
    del cluster.nodes[1]
    with pytest.raises(NoNodes):
        await offered(cluster.session())
    # What another gateway relays does not come out of that gateway.
    cluster.relayed = True
    assert await offered(cluster.session()) == AlreadyHave((N1,))


@clock_test
async def test_a_sender_behind_another_gateway_is_no_copy(tmp_path: Path) -> None:
    gateway = Faulty(at="", contents={K: CONTENT}, others=(FAR,))
    cluster = cluster_of({}, tmp_path, gateway=gateway, beyond=ONE_FAR)
    assert await offered(cluster.session()) == AlreadyHave((FAR,))
    cluster.client = FAR
    with pytest.raises(NoneStored):
        await offered(cluster.session())
    gateway.contents.clear()
    assert not (await sent(cluster.session(), K, CONTENT)).ok


# -- what nodes say of others --------------------------------------------------------------


@clock_test
async def test_a_node_speaks_for_itself_and_for_whom_nobody_asked(
    tmp_path: Path,
) -> None:
    says = (N1, N2, C, OTHER, OTHER, UUID(b"aa"), UUID(b"../x"), FAR)
    cluster = cluster_of(
        {N1: Faulty(at="", others=says), N2: Faulty(at="judged", error=DEATH)}, tmp_path
    )
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N1, OTHER))
    agree(cluster)


@clock_test
async def test_a_gateway_speaks_for_living_nodes_only(tmp_path: Path) -> None:
    says = (C, FAR, FAR, OTHER, UUID(b"aa"))
    gateway = Faulty(at="", others=says)
    cluster = cluster_of(
        {N1: MemoryStore()}, tmp_path, gateway=gateway, beyond=frozenset({FAR})
    )
    assert await sent(cluster.session(), K, CONTENT) == Outcome(True, (N1, FAR))
    assert cluster.locations.writes == [{N1: True, FAR: True}]


@clock_test
async def test_a_gateway_is_asked_as_long_as_a_node_behind_it_lacks_it(
    tmp_path: Path,
) -> None:
    gateway = Faulty(at="")
    cluster = cluster_of(
        {N1: MemoryStore()}, tmp_path, gateway=gateway, beyond=frozenset({FAR, N3})
    )
    cluster.locations.places.add((K, FAR))
    await sent(cluster.session(), K, CONTENT)
    assert "asked" in gateway.steps
    gateway.steps.clear()
    cluster.locations.places.add((K, N3))
    cluster.locations.places.discard((K, N1))
    assert await offered(cluster.session()) == AlreadyHave((N1,))
    assert gateway.steps == []


# -- the log -------------------------------------------------------------------------------


@clock_test
async def test_a_log_that_cannot_be_written_changes_nothing_of_the_truth(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = cluster_of({N1: MemoryStore()}, tmp_path)
    cluster.locations.broken = True
    assert (await sent(cluster.session(), K, CONTENT)).ok
    assert any("git annex fsck" in line for line in caplog.messages)


@clock_test
async def test_what_was_stored_is_recorded_before_it_is_said(tmp_path: Path) -> None:
    cluster = cluster_of({N1: MemoryStore()}, tmp_path)
    async with cluster.session().put(K, b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        assert (await intake.accept(whole())).ok
        assert cluster.locations.holders(K) == {N1}


# -- DATA-PRESENT --------------------------------------------------------------------------


@clock_test
async def test_every_node_is_asked_whether_it_was_put_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stores = [MemoryStore(), MemoryStore(), Faulty(at="adopting", error=DEATH)]
    cluster = cluster_of(dict(zip((N1, N2, N3), stores)), tmp_path)
    async with cluster.session().put(K, b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        stores[1].contents[K] = CONTENT
        assert await intake.adopt() == Outcome(True, (N2,))
    assert cluster.locations.writes == [{N2: True}]
    assert caplog.messages == ["n1 failed: it died"]


# -- several sessions ----------------------------------------------------------------------


@clock_test
async def test_two_sessions_with_one_key_do_not_hold_up_each_other(
    tmp_path: Path,
) -> None:
    """Each would have one node, and wait for the other."""
    cluster = cluster_of({N1: MemoryStore(), N2: MemoryStore()}, tmp_path)
    answers: list[object] = []

    async def upload(session: Store) -> None:
        async with session.put(K, b"") as intake:
            if isinstance(intake, AlreadyHave):
                answers.append(intake)
            else:
                await trio.sleep(3)
                answers.append(await intake.accept(whole()))

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(upload, cluster.session())
    assert answers == [Outcome(True, (N1, N2)), AlreadyHave((N1, N2))]


@clock_test
async def test_a_session_waits_as_long_as_bytes_come(tmp_path: Path) -> None:
    cluster = cluster_of({N1: MemoryStore()}, tmp_path)
    cluster.patience = Patience(stall=20)
    answers: list[object] = []

    async def second() -> None:
        answers.append(await offered(cluster.session()))

    async with (
        trio.open_nursery() as nursery,
        cluster.session().put(K, b"") as intake,
    ):
        assert not isinstance(intake, AlreadyHave)
        payload, slow = whole(), trio.Event()

        async def say() -> Validity:
            await slow.wait()
            return Validity.VALID

        payload.verdict = say
        nursery.start_soon(second)
        nursery.start_soon(_count_down, payload, slow)
        assert (await intake.accept(payload)).ok
    assert answers == [AlreadyHave((N1,))]


async def _count_down(payload: Payload, done: trio.Event) -> None:
    """Bytes that come now and then."""
    for _ in range(10):
        await trio.sleep(15)
        payload.remaining += 1
    payload.remaining = 0
    done.set()


@clock_test
async def test_a_session_does_not_wait_for_one_that_hangs(tmp_path: Path) -> None:
    cluster = cluster_of({N1: MemoryStore()}, tmp_path)
    async with cluster.session().put(K, b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        with pytest.raises(TransferInProgress):
            await offered(cluster.session())


@clock_test
async def test_a_gateways_session_is_refused_at_once(tmp_path: Path) -> None:
    """The upload that it would wait for may be waiting for it."""
    cluster = cluster_of({N1: MemoryStore()}, tmp_path)
    async with cluster.session().put(K, b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        cluster.relayed = True
        begun = trio.current_time()
        with pytest.raises(TransferInProgress):
            await offered(cluster.session())
        assert trio.current_time() == begun


@clock_test
async def test_a_removal_that_does_not_end_fails_the_upload_safely(
    tmp_path: Path,
) -> None:
    nodes = {N1: MemoryStore(), N2: MemoryStore()}
    cluster = cluster_of(nodes, tmp_path)
    lock = cluster.locks.try_change(K)
    assert lock is not None
    with lock, pytest.raises(LockTimeout):
        await sent(cluster.session(), K, CONTENT)
    assert [s.partial for s in nodes.values()] == [{K: CONTENT}] * 2
    agree(cluster)


@clock_test
async def test_without_locks_uploads_go_on(tmp_path: Path) -> None:
    (tmp_path / "locks").write_bytes(b"a file")
    cluster = cluster_of({N1: MemoryStore()}, tmp_path)
    assert (await sent(cluster.session(), K, CONTENT)).ok


# -- nodes behind connections --------------------------------------------------------------


@pytest.mark.parametrize("version", range(5))
@trio_test
async def test_nodes_of_any_version_take_part(tmp_path: Path, version: int) -> None:
    inner = MemoryStore()
    async with peer_of(inner, version=version) as (peer, _):
        cluster = cluster_of({N1: peer, N2: MemoryStore()}, tmp_path)
        session = cluster.session()
        bad = CONTENT[:-1] + b"X"
        assert not (await sent(session, K, bad, Validity.INVALID)).ok
        assert inner.contents == {}
        assert (await sent(session, K, CONTENT)).others == (N1, N2)
        assert inner.contents == {K: CONTENT}


@trio_test
async def test_an_old_node_that_has_all_bytes_waits_for_the_verdict(
    tmp_path: Path,
) -> None:
    """DATA 0 is all it needs, so that comes under the lock, or not at all."""
    inner = MemoryStore(partial={K: CONTENT})
    async with peer_of(inner, version=0) as (peer, _):
        cluster = cluster_of({N1: peer}, tmp_path)
        session = cluster.session()
        assert not (await sent(session, K, CONTENT, Validity.INVALID)).ok
        assert inner.contents == {}
        assert await sent(session, K, CONTENT) == Outcome(True, (N1,))
        assert inner.contents == {K: CONTENT}


@trio_test
async def test_a_node_with_more_than_there_is_of_a_key_without_a_size(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing would tell it that what it has is something else."""
    key = Key.parse(b"URL--http&c%%x")
    inner = MemoryStore(partial={key: CONTENT * 2})
    async with peer_of(inner) as (peer, _):
        cluster = cluster_of({N1: peer, N2: MemoryStore()}, tmp_path)
        session = cluster.session()
        assert await sent(session, key, CONTENT) == Outcome(True, (N2,))
        assert inner.contents == {}
        assert "more bytes of it than there are" in caplog.text
        assert (await sent(session, K, CONTENT)).others == (N1, N2)


@pytest.mark.parametrize("version", range(5))
@trio_test
async def test_clients_of_any_version_are_served(tmp_path: Path, version: int) -> None:
    stores = {N1: MemoryStore(), N2: MemoryStore()}
    cluster = cluster_of(stores, tmp_path)
    async with peer_of(cluster.session(), version=version) as (client, _):
        outcome = await sent(client, K, CONTENT)
        assert outcome == Outcome(True, (N1, N2) if version >= 2 else ())
        assert (await got(client, K))[0] == CONTENT
        assert (await client.remove(K)).ok
    assert [s.contents for s in stores.values()] == [{}, {}]
    agree(cluster)


@trio_test
async def test_a_node_whose_connection_breaks_in_the_middle(tmp_path: Path) -> None:
    async with peer_of(MemoryStore()) as (peer, node):
        cluster = cluster_of({N1: peer, N2: MemoryStore()}, tmp_path)
        session = cluster.session()
        async with session.put(K, b"") as intake:
            assert not isinstance(intake, AlreadyHave)
            await peer.aclose()
            outcome = await intake.accept(whole())
        assert outcome == Outcome(True, (N2,))
        again = key_of(b"again")
        assert (await sent(session, again, b"again")).others == (N1, N2)


# -- a put and a removal at once -----------------------------------------------------------


class Stepping(Faulty):
    """A node that takes a step of the scheduler's for everything it does."""

    async def meet(self, step: str | int) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()


STEPS_AFTER = 30
"""Of a second PUT, when the first one is over: then it waits for the clock."""


@pytest.mark.thorough
@pytest.mark.parametrize("others", [0, 1])
@clock_test
async def test_whenever_a_removal_comes_the_log_is_true(
    tmp_path: Path, others: int
) -> None:
    late: list[bool] = []
    while late[-STEPS_AFTER:] != [True] * STEPS_AFTER:
        steps = len(late)
        late.append(await _interleaved(tmp_path / f"{steps}", steps, others))
    assert late.index(True) > 50


async def _interleaved(directory: Path, steps: int, others: int) -> bool:
    """A removal that starts after so many steps of PUTs; whether one was over."""
    directory.mkdir()
    have = Stepping(contents={K: CONTENT})
    cluster = cluster_of({N1: have, N2: Stepping(), N3: Stepping()}, directory)
    over = 0

    async def upload() -> None:
        nonlocal over
        try:
            async with cluster.session().put(K, b"") as intake:
                if not isinstance(intake, AlreadyHave):
                    await intake.accept(whole())
        except RemovedMeanwhile:
            assert not cluster.locations.holders(K)
        over += 1

    async with trio.open_nursery() as nursery:
        for _ in range(1 + others):
            nursery.start_soon(upload)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        late = over > 0
        assert (await cluster.session().remove(K)).ok
    agree(cluster)
    return late
