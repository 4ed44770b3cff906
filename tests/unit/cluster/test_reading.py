"""Reading from a cluster while its nodes fail."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from annexshell.cluster.health import asking, is_missing
from annexshell.cluster.node import Node
from annexshell.cluster.reading import Reader
from annexshell.errors import (
    LinkClosed,
    LockTimeout,
    NotOnReachableNodes,
    PayloadShort,
    PeerRefused,
    PeerUnreachable,
)
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity, nothing
from annexshell.remotes.peer import PeerStore
from annexshell.repository.busy import Busy
from annexshell.transport.link import Link
from tests.support.async_tests import clock_test, trio_test
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import link_pair, peer_of
from tests.unit.cluster.scripted import (
    CLUSTER,
    Cluster,
    Left,
    ScriptedStore,
    fetch,
    uuid_of,
)

CONTENT = b"0123456789abcdef"
KEY = key_of(CONTENT)
UNSIZED = attrs.evolve(KEY, size=None)
LAST = len(CONTENT) - 1
WHOLE = Left(0, True, None)
MISSED = Left(0, False, None)


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert sorted(os.listdir("/proc/self/fd")) == sorted(before)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def unreachable(name: str) -> ScriptedStore:
    return ScriptedStore(fails=PeerUnreachable(name=name, detail="no route to host"))


def said_of_nodes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "annexshell.cluster"]


def having(
    dies_at: int | None = None,
    *,
    content: bytes = CONTENT,
    silent: bool = False,
    pipe: bool = False,
    verdict: Validity = Validity.VALID,
) -> ScriptedStore:
    """A node that has ``content`` for both keys."""
    return ScriptedStore(
        contents={KEY: content, UNSIZED: content},
        dies_at=dies_at,
        silent=silent,
        pipe=pipe or silent,
        verdict=verdict,
    )


async def get(
    cluster: Cluster, key: Key = KEY, offset: int = 0, *, kept: bool = True
) -> tuple[bytes, Validity]:
    async with cluster.reader().get(key, offset, b"") as payload:
        got = await fetch(payload)
        verdict = await payload.verdict()
        payload.kept = kept
    return got, verdict


# -- presence ---------------------------------------------------------------------------


@trio_test
async def test_what_is_not_listed_is_asked_of_nobody(cluster: Cluster) -> None:
    store = having()
    cluster.add(store)
    cluster.add(having(), gateway=True)
    cluster.listed.clear()
    assert await cluster.reader().present(KEY) is False
    assert await get(cluster) == (b"", Validity.INVALID)
    assert store.asked == []


@trio_test
async def test_one_that_has_it_is_enough(cluster: Cluster) -> None:
    stores = [unreachable("n0"), ScriptedStore(), having(), having()]
    for store in stores:
        cluster.add(store)
    assert await cluster.reader().present(KEY) is True
    assert [store.asked for store in stores] == [["present"]] * 3 + [[]]


class PromptStore(ScriptedStore):
    """One that knows at once what it has."""

    def present_at_once(self, key: Key) -> bool | None:
        self._begin("at once")
        return key in self.contents


@trio_test
async def test_the_first_node_may_know_at_once(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    store = PromptStore({KEY: CONTENT})
    node = cluster.add(store)
    cluster.add(having())
    reader = cluster.reader()
    assert reader.present_at_once(KEY) is True
    assert reader.present_at_once(key_of(b"other")) is None
    store.fails = PeerUnreachable(name="n0", detail="gone")
    assert reader.present_at_once(KEY) is None
    # It is for `present` to remember and to tell it.
    assert not is_missing(node) and not said_of_nodes(caplog)
    assert await reader.present(KEY) is True
    assert is_missing(node) and len(said_of_nodes(caplog)) == 1
    asked = len(store.asked)
    assert reader.present_at_once(KEY) is None and len(store.asked) == asked
    assert cluster.corrected == []


@trio_test
async def test_nodes_far_away_are_not_looked_up_to_know_at_once(
    cluster: Cluster,
) -> None:
    cluster.add(having())
    assert cluster.reader().present_at_once(KEY) is None
    assert cluster.looks == 0


@trio_test
async def test_it_is_absent_if_all_that_are_listed_say_so(cluster: Cluster) -> None:
    cluster.add(ScriptedStore())
    cluster.add(ScriptedStore())
    cluster.add(having())
    cluster.listed.discard(uuid_of(2))
    assert await cluster.reader().present(KEY) is False


@trio_test
async def test_it_is_not_absent_if_one_cannot_be_asked(cluster: Cluster) -> None:
    cluster.add(ScriptedStore())
    cluster.add(unreachable("n1"))
    cluster.add(ScriptedStore(fails=PeerRefused(detail="the disk is bad")))
    cluster.add(ScriptedStore(fails=OSError(errno.EIO, "Input/output error")))
    with pytest.raises(NotOnReachableNodes) as caught:
        await cluster.reader().present(KEY)
    text = str(caught.value)
    for cause in ("connect to n1", "n2 failed: the disk is bad", "n3 failed: Input"):
        assert cause in text
    assert "n0" not in text and str(KEY) in text


@trio_test
async def test_a_wrong_location_is_to_be_corrected(cluster: Cluster) -> None:
    cluster.add(ScriptedStore())
    cluster.add(unreachable("n1"))
    cluster.add(ScriptedStore(), gateway=True)
    cluster.add(having())
    cluster.add(ScriptedStore())
    cluster.members.add(uuid_of(8))
    cluster.listed.add(uuid_of(8))
    assert await cluster.reader().present(KEY) is True
    assert cluster.corrected == ["n0"]


@trio_test
async def test_failing_to_correct_changes_no_answer(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.fails_correcting = LockTimeout(where="/lock", holder="another session")
    cluster.add(ScriptedStore())
    cluster.add(ScriptedStore())
    assert await cluster.reader().present(KEY) is False
    assert cluster.corrected == ["n0", "n1"]
    assert caplog.messages == [str(cluster.fails_correcting)] * 2


@trio_test
async def test_a_node_that_fails_to_be_corrected_is_named_once(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    store = ScriptedStore()
    node = cluster.add(store)

    async def correct(node: Node, key: Key) -> None:
        with asking(node):
            await node.store.present(key)

    reader = Reader(CLUSTER, [node], cluster, Busy(str(cluster.directory)), correct)
    store.fails_later = PeerUnreachable(name="n0", detail="no route to host")
    assert await reader.present(KEY) is False
    assert len(said_of_nodes(caplog)) == 1 and "n0" in said_of_nodes(caplog)[0]


@trio_test
async def test_a_missing_node_is_asked_last_and_again_only_later(
    cluster: Cluster,
) -> None:
    gone, there = unreachable("n0"), having()
    cluster.add(gone)
    cluster.add(there)
    reader = cluster.reader()
    for _ in range(3):
        assert await reader.present(KEY) is True
    assert (gone.asked, len(there.asked)) == (["present"], 3)
    del there.contents[KEY]
    with pytest.raises(NotOnReachableNodes, match="connect to n0"):
        await reader.present(KEY)
    assert gone.asked == ["present"]


# -- who delivers -----------------------------------------------------------------------


@pytest.mark.parametrize("pipe", [False, True])
@trio_test
async def test_the_best_node_delivers_and_vouches(cluster: Cluster, pipe: bool) -> None:
    store, other = having(pipe=pipe), having()
    cluster.add(store)
    cluster.add(other)
    assert await get(cluster) == (CONTENT, Validity.VALID)
    assert (store.left, other.asked) == ([WHOLE], [])


@pytest.mark.parametrize("verdict", list(Validity))
@trio_test
async def test_the_verdict_is_the_nodes_own(
    cluster: Cluster, verdict: Validity
) -> None:
    cluster.add(having(verdict=verdict))
    assert await get(cluster) == (CONTENT, verdict)


@trio_test
async def test_a_part_is_read_from_where_it_is_due(cluster: Cluster) -> None:
    store = having()
    cluster.add(store)
    assert await get(cluster, offset=5) == (CONTENT[5:], Validity.VALID)
    assert store.gets == [5]


@trio_test
async def test_before_anything_is_promised_the_next_is_tried(
    cluster: Cluster,
) -> None:
    stores = [
        ScriptedStore(),
        unreachable("n1"),
        ScriptedStore(fails=PeerRefused(detail="no")),
        ScriptedStore(fails=OSError(errno.EIO, "bad disk")),
        ScriptedStore(fails=LinkClosed(name="n4")),
        having(),
    ]
    for store in stores:
        cluster.add(store)
    assert await get(cluster) == (CONTENT, Validity.VALID)
    assert stores[0].left == [MISSED]


@trio_test
async def test_what_nobody_has_is_nothing(cluster: Cluster) -> None:
    stores = [ScriptedStore(), ScriptedStore()]
    for store in stores:
        cluster.add(store)
    assert await get(cluster, kept=False) == (b"", Validity.INVALID)
    assert [store.left for store in stores] == [[MISSED], [MISSED]]


@trio_test
async def test_not_knowing_is_an_error_that_names_the_causes(cluster: Cluster) -> None:
    cluster.add(unreachable("n0"))
    cluster.add(ScriptedStore())
    cluster.add(ScriptedStore(fails=PeerRefused(detail="the disk is bad")))
    with pytest.raises(NotOnReachableNodes) as caught:
        await get(cluster)
    assert "connect to n0" in str(caught.value)
    assert "n2 failed: the disk is bad" in str(caught.value)


@trio_test
async def test_content_of_another_length_is_never_promised(cluster: Cluster) -> None:
    damaged = having(content=CONTENT[:9])
    cluster.add(damaged)
    with pytest.raises(NotOnReachableNodes, match="n0 failed: it offers 9 bytes"):
        await get(cluster)
    assert damaged.left == [Left(9, False, None)]
    cluster.add(having())
    assert await get(cluster) == (CONTENT, Validity.VALID)
    # What the key does not tell is as long as the first says.
    assert await get(cluster, UNSIZED) == (CONTENT[:9], Validity.VALID)


@trio_test
async def test_where_nothing_is_left_the_node_still_vouches(cluster: Cluster) -> None:
    cluster.add(ScriptedStore())
    cluster.add(having())
    assert await get(cluster, offset=len(CONTENT)) == (b"", Validity.VALID)
    assert await get(cluster, offset=len(CONTENT) + 9) == (b"", Validity.VALID)
    assert await get(cluster, UNSIZED, 40) == (b"", Validity.VALID)


@trio_test
async def test_an_old_node_has_one_word_for_absent_and_for_nothing_left(
    cluster: Cluster,
) -> None:
    old = having(content=b"", verdict=Validity.UNSAID)
    cluster.add(old)
    assert await get(cluster) == (b"", Validity.INVALID)
    assert await get(cluster, UNSIZED) == (b"", Validity.INVALID)
    assert await get(cluster, offset=len(CONTENT)) == (b"", Validity.UNSAID)


@trio_test
async def test_a_node_that_dies_in_saying_what_is_absent(cluster: Cluster) -> None:
    broken = ScriptedStore(
        contents={KEY: b""}, fails_verdict=PayloadShort(name="n0", missing=0)
    )
    cluster.add(broken)
    with pytest.raises(NotOnReachableNodes, match="n0 failed"):
        await get(cluster)
    assert len(broken.left) == 1
    cluster.add(having())
    assert await get(cluster) == (CONTENT, Validity.VALID)


# -- nodes that die ---------------------------------------------------------------------


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("dies_at", [0, 1, 7, LAST])
@trio_test
async def test_another_node_goes_on_at_the_same_byte(
    cluster: Cluster, dies_at: int, pipe: bool, caplog: pytest.LogCaptureFixture
) -> None:
    dying, other = having(dies_at, pipe=pipe), having(pipe=not pipe)
    cluster.add(dying)
    cluster.add(other)
    # What two gave nobody has seen whole.
    verdict = Validity.INVALID if dies_at else Validity.VALID
    assert await get(cluster) == (CONTENT, verdict)
    rest = len(CONTENT) - dies_at
    assert (other.gets, other.left) == ([dies_at], [WHOLE])
    assert dying.left == [Left(rest, False, None)]
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert told == [f"n0 failed: n0 delivered {rest} bytes less than promised"]


@trio_test
async def test_a_disk_that_cannot_be_read_is_told_in_one_line(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Unreadable(ScriptedStore):
        @asynccontextmanager
        async def get(
            self, key: Key, offset: int, name: bytes
        ) -> AsyncIterator[Payload]:
            directory = os.open(tmp_path, os.O_RDONLY)
            yield Payload(len(CONTENT), directory, position=0, source="/disk")
            os.close(directory)

    cluster.add(Unreadable())
    cluster.add(having())
    assert await get(cluster) == (CONTENT, Validity.VALID)
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert told == [
        "n0 failed: the content cannot be read any further (n0): Is a directory"
    ]


@pytest.mark.parametrize("pipe", [False, True])
@trio_test
async def test_two_die_in_turn(cluster: Cluster, pipe: bool) -> None:
    stores = [having(4, pipe=pipe), ScriptedStore(), having(9, pipe=pipe), having()]
    for store in stores:
        cluster.add(store)
    assert await get(cluster, offset=2) == (CONTENT[2:], Validity.INVALID)
    assert [store.gets for store in stores] == [[2], [4], [4], [9]]


@trio_test
async def test_where_all_die_what_is_missing_is_told(cluster: Cluster) -> None:
    stores = [having(4), having(9)]
    for store in stores:
        cluster.add(store)
    with pytest.raises(PayloadShort) as caught:
        async with cluster.reader().get(KEY, 0, b"") as payload:
            await fetch(payload)
    assert caught.value.fields["missing"] == len(CONTENT) - 9
    assert payload.descriptor == -1 and payload.substitute is not None
    assert await payload.substitute(caught.value) is False
    assert await payload.verdict() is Validity.INVALID


@trio_test
async def test_one_that_dies_before_its_verdict_vouches_for_nothing(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    store = having()
    store.fails_verdict = LinkClosed(name="n0")
    cluster.add(store)
    assert await get(cluster) == (CONTENT, Validity.INVALID)
    assert store.left == [WHOLE]
    assert said_of_nodes(caplog) == ["n0 failed: the connection to n0 ended"]


@trio_test
async def test_one_that_is_silent_is_replaced_and_left_out(cluster: Cluster) -> None:
    stalled, other = having(8, silent=True), having()
    cluster.add(stalled)
    cluster.add(other)
    assert await get(cluster) == (CONTENT, Validity.INVALID)
    assert await get(cluster) == (CONTENT, Validity.VALID)
    assert (stalled.gets, other.gets) == ([0], [8, 0])


@pytest.mark.parametrize("length", [0, 7, 10, len(CONTENT) + 1])
@trio_test
async def test_only_exactly_what_remains_is_taken_from_another(
    cluster: Cluster, length: int
) -> None:
    other = having(content=(CONTENT + b"x")[:length])
    cluster.add(having(7))
    cluster.add(other)
    with pytest.raises(PayloadShort):
        await get(cluster, UNSIZED)
    assert other.gets == [7] and other.left[0].kept is False
    cluster.add(having())
    assert await get(cluster, UNSIZED) == (CONTENT, Validity.INVALID)


@trio_test
async def test_a_node_that_fails_on_being_left_fails_nothing_else(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    for dies_at in (7, None):
        store = having(dies_at)
        store.fails_leaving = OSError(errno.EIO, "bad disk")
        cluster.add(store)
    assert await get(cluster) == (CONTENT, Validity.INVALID)
    told = [line.split(":")[0] for line in said_of_nodes(caplog)]
    assert told == ["n0 failed", "n0 failed", "n1 failed"]


# -- the client -------------------------------------------------------------------------


@trio_test
async def test_nodes_hear_what_the_client_said(cluster: Cluster) -> None:
    first, second = having(7), having()
    cluster.add(first)
    cluster.add(second)
    await get(cluster, kept=False)
    assert first.left == [Left(len(CONTENT) - 7, False, None)]
    assert second.left == [MISSED]


@trio_test
async def test_who_delivered_what_the_client_refused_is_asked_last(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = [cluster.add(having(7)), cluster.add(having()), cluster.add(having())]
    reader = cluster.reader()
    async with reader.get(KEY, 0, b"") as payload:
        await fetch(payload)
    assert reader.ordered(KEY) == [nodes[2], nodes[0], nodes[1]]
    assert reader.ordered(UNSIZED) == nodes
    for node in nodes[:2]:
        said = f"{node.name} delivered content that the client could not use ({KEY})"
        assert caplog.text.count(said) == 1
    assert nodes[2].name not in caplog.text


@trio_test
async def test_who_delivered_nothing_is_not_doubted(cluster: Cluster) -> None:
    nodes = [cluster.add(having(3)), cluster.add(having()), cluster.add(having())]
    reader = cluster.reader()
    async with reader.get(KEY, 3, b"") as payload:
        await fetch(payload)
    assert reader.ordered(KEY) == [nodes[0], nodes[2], nodes[1]]


@trio_test
async def test_a_client_that_leaves_early_casts_no_doubt(cluster: Cluster) -> None:
    nodes = [cluster.add(having()), cluster.add(having())]
    reader = cluster.reader()
    async with reader.get(KEY, 0, b"") as payload:
        payload.moved(5)
    with pytest.raises(LinkClosed):
        async with reader.get(KEY, 0, b"") as payload:
            await fetch(payload)
            raise LinkClosed(name="the client")
    async with reader.get(KEY, 0, b"") as payload:
        await fetch(payload)
        payload.kept = True
    assert reader.ordered(KEY) == nodes


@trio_test
async def test_doubts_do_not_grow_for_ever(cluster: Cluster) -> None:
    node = cluster.add(having())
    reader = cluster.reader()
    for number in range(1005):
        reader.doubt(attrs.evolve(KEY, name=b"%d" % number), [node])
    assert len(reader._doubted) == 1000


@pytest.mark.parametrize("fails", [False, True])
@trio_test
async def test_what_ends_the_request_goes_through(
    cluster: Cluster, fails: bool
) -> None:
    store = having()
    store.fails_leaving = OSError(errno.EIO, "bad disk") if fails else None
    cluster.add(store)
    with pytest.raises(LinkClosed, match="the client"):
        async with cluster.reader().get(KEY, 0, b"") as payload:
            payload.moved(5)
            raise LinkClosed(name="the client")
    assert store.left == [Left(len(CONTENT) - 5, False, LinkClosed)]


@clock_test
async def test_cancelled_in_the_middle(cluster: Cluster) -> None:
    first, second = having(7), having()
    cluster.add(first)
    cluster.add(second)
    with trio.CancelScope() as scope:
        async with cluster.reader().get(KEY, 0, b"") as payload:
            payload.moved(7)
            short = PayloadShort(name="n0", missing=7)
            assert payload.substitute is not None
            assert await payload.substitute(short)
            payload.moved(2)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert second.left == [Left(len(CONTENT) - 9, False, trio.Cancelled)]
    assert not any(node.failures for node in cluster.nodes)


@clock_test
async def test_cancelled_while_another_node_is_looked_for(cluster: Cluster) -> None:
    class Hangs(MemoryStore):
        @asynccontextmanager
        async def get(
            self, key: Key, offset: int, name: bytes
        ) -> AsyncIterator[Payload]:
            scope.cancel()
            await trio.Event().wait()
            yield nothing(Validity.INVALID)

    first = having(7)
    cluster.add(first)
    cluster.add(Hangs())
    with trio.CancelScope() as scope:
        async with cluster.reader().get(KEY, 0, b"") as payload:
            await fetch(payload)
    assert scope.cancelled_caught
    assert first.left == [Left(len(CONTENT) - 7, False, None)]
    assert Busy(str(cluster.directory)).count(uuid_of(0)) == 0


# -- how busy they are ------------------------------------------------------------------


@trio_test
async def test_the_node_that_delivers_is_busy(cluster: Cluster, tmp_path: Path) -> None:
    cluster.add(having(7))
    cluster.add(having())
    busy = Busy(str(tmp_path))

    def counts() -> list[int]:
        return [busy.count(uuid_of(0)), busy.count(uuid_of(1))]

    async with cluster.reader().get(KEY, 0, b"") as payload:
        assert counts() == [1, 0]
        await fetch(payload)
        assert counts() == [0, 1]
    assert counts() == [0, 0]


@trio_test
async def test_another_session_makes_a_node_the_second_choice(
    cluster: Cluster, tmp_path: Path
) -> None:
    nodes = [cluster.add(having()), cluster.add(having())]
    for node in nodes:
        node.cost = 100.0
    with Busy(str(tmp_path)).transfer(uuid_of(1)):
        for _ in range(8):
            assert cluster.reader().ordered(KEY) == nodes


# -- nodes behind a connection ----------------------------------------------------------


@pytest.mark.parametrize("pipes", [False, True])
@pytest.mark.parametrize("dies_at", [0, 7, LAST])
@trio_test
async def test_peers_that_die(cluster: Cluster, dies_at: int, pipes: bool) -> None:
    dying, other = having(dies_at, pipe=True), having()
    async with (
        peer_of(dying, pipes=pipes) as (first, _),
        peer_of(other, pipes=pipes) as (second, server),
    ):
        cluster.nodes = [
            Node("n0", uuid_of(0), first, 1.0),
            Node("n1", uuid_of(1), second, 2.0),
        ]
        cluster.listed = {uuid_of(0), uuid_of(1)}
        verdict = Validity.INVALID if dies_at else Validity.VALID
        assert await get(cluster) == (CONTENT, verdict)
        # The one that finished was told, and its connection goes on.
        assert await second.present(KEY) is True
        assert other.left == [WHOLE]
        assert len(server.connections) == 1
        # So does the other's, by a new one.
        assert await first.present(KEY) is True


@trio_test
async def test_a_peer_left_in_the_middle_is_not_taken_for_well(
    cluster: Cluster,
) -> None:
    store = having()
    async with peer_of(store) as (peer, server):
        cluster.nodes = [Node("n0", uuid_of(0), peer)]
        cluster.listed = {uuid_of(0)}
        async with cluster.reader().get(KEY, 0, b""):
            # The client leaves without one byte.
            await trio.lowlevel.checkpoint()
        assert await get(cluster) == (CONTENT, Validity.VALID)
        assert len(server.connections) == 2
        assert await get(cluster, kept=False) == (CONTENT, Validity.VALID)
        assert await get(cluster, attrs.evolve(KEY, name=b"x")) == (
            b"",
            Validity.INVALID,
        )
        assert await peer.present(KEY) is True
        assert len(server.connections) == 2
    assert store.left[1:3] == [WHOLE, MISSED]


@clock_test
async def test_a_peer_that_falls_silent(cluster: Cluster) -> None:
    other = having()
    connections: list[Link] = []

    async def connect() -> Link:
        ours, theirs = link_pair(pipes=False)
        connections.append(theirs)
        await theirs.write(b"AUTH-SUCCESS %s\nVERSION 4\n" % uuid_of(0))
        await theirs.write(b"DATA 16\n" + CONTENT[:9])
        return ours

    peer = PeerStore("n0", uuid_of(0), connect, timeout=60)
    peer.newest = 4
    cluster.add(other)
    cluster.nodes.insert(0, Node("n0", uuid_of(0), peer, 1.0))
    cluster.nodes[1].uuid = uuid_of(1)
    cluster.listed = {uuid_of(0), uuid_of(1)}
    begun = trio.current_time()
    assert await get(cluster) == (CONTENT, Validity.INVALID)
    assert trio.current_time() == begun + 60
    assert other.gets == [9] and is_missing(cluster.nodes[0])
    assert connections[0].readable()
    # It is not asked for the time, though its connection could be opened again.
    assert await get(cluster) == (CONTENT, Validity.VALID)
    assert len(connections) == 1
    connections[0].close()
    await peer.aclose()


# -- whatever happens -------------------------------------------------------------------

_BROKEN = st.sampled_from(("absent", "unreachable", "damaged"))
_DYING = st.tuples(st.integers(0, LAST), st.booleans(), st.booleans())
_NODES = st.lists(st.one_of(_BROKEN, _DYING, st.just("well")), max_size=5)


def node_from(kind: object) -> ScriptedStore:
    if isinstance(kind, tuple):
        dies_at, pipe, silent = kind
        return having(dies_at, pipe=pipe, silent=silent)
    if kind == "damaged":
        return having(content=CONTENT[:-1])
    if kind == "unreachable":
        return unreachable("it")
    return having() if kind == "well" else ScriptedStore()


@pytest.mark.thorough
@given(_NODES, st.integers(0, len(CONTENT)))
def test_bytes_are_right_or_not_all_there(kinds: list[object], offset: int) -> None:
    stores = [node_from(kind) for kind in kinds]
    got, verdict, error = run(stores, offset)
    assert CONTENT[offset:].startswith(got)
    if "well" in kinds:
        assert (got, error) == (CONTENT[offset:], None)
    if error is None and verdict is Validity.VALID:
        assert [store.gets for store in stores if WHOLE in store.left] == [[offset]]
    if error is None and verdict is Validity.INVALID and not got:
        assert offset == len(CONTENT) or all(kind == "absent" for kind in kinds)


def run(
    stores: list[ScriptedStore], offset: int
) -> tuple[bytes, Validity, Exception | None]:
    async def main() -> tuple[bytes, Validity, Exception | None]:
        cluster = Cluster(Path(directory))
        for store in stores:
            cluster.add(store)
        try:
            got, verdict = await get(cluster, KEY, offset)
        except (PayloadShort, NotOnReachableNodes) as error:
            return b"", Validity.INVALID, error
        return got, verdict, None

    with tempfile.TemporaryDirectory() as directory:
        return trio.run(main)
