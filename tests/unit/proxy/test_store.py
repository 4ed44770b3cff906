"""What the gateway remembers of a remote, and what it believes of it (spec 01 §7.4)."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from annexshell.errors import RemovedMeanwhile
from annexshell.model.ids import UUID
from annexshell.model.payload import Validity, nothing
from annexshell.proxy.store import ProxiedStore
from annexshell.repository.keylocks import KeyLocks
from annexshell.store import AlreadyHave, Outcome
from tests.support.async_tests import clock_test, trio_test
from tests.support.locations import MemoryLocations
from tests.support.memory_store import MemoryStore, key_of

X = UUID(b"11111111-1111-4111-8111-111111111111")
A = UUID(b"aaaaaaaa-1111-4111-8111-111111111111")
B = UUID(b"bbbbbbbb-1111-4111-8111-111111111111")
K = key_of(b"")


class Answering(MemoryStore):
    """A node that says what it is told to."""

    outcome = Outcome(True)

    async def remove(self, key: object, before: int | None = None) -> Outcome:
        return self.outcome


async def removed(outcome: Outcome, locations: MemoryLocations) -> Outcome:
    node = Answering()
    node.outcome = outcome
    return await ProxiedStore(node, X, locations).remove(K)


@trio_test
async def test_what_was_stored_is_recorded_before_it_is_said() -> None:
    locations = MemoryLocations()
    store = ProxiedStore(MemoryStore(), X, locations)
    async with store.put(K, b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        assert (await intake.accept(nothing(Validity.VALID))).ok
        assert locations.records == [(K, X, True)]


@trio_test
async def test_what_failed_is_not_recorded() -> None:
    locations = MemoryLocations()
    store = ProxiedStore(MemoryStore(), X, locations)
    async with store.put(key_of(b"more"), b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        assert not (await intake.accept(nothing(Validity.VALID))).ok
    assert locations.records == []
    await removed(Outcome(False), locations)
    assert locations.records == []


@trio_test
async def test_what_is_there_already_is_recorded_where_it_was_not() -> None:
    locations = MemoryLocations()
    node = MemoryStore()
    key = node.add(b"content")
    async with ProxiedStore(node, X, locations).put(key, b"") as intake:
        assert isinstance(intake, AlreadyHave)
    assert locations.places == {(key, X)}


@trio_test
async def test_others_are_named_with_the_remote_itself() -> None:
    locations = MemoryLocations(frozenset({A, B}))
    assert await removed(Outcome(True, (A, B)), locations) == Outcome(True, (X, A, B))
    assert {u for _, u, _ in locations.records} == {X, A, B}


@trio_test
async def test_others_are_recorded_also_where_the_remote_failed() -> None:
    locations = MemoryLocations(frozenset({A}))
    assert await removed(Outcome(False, (A,)), locations) == Outcome(False, (A,))
    assert locations.records == [(K, A, False)]


@pytest.mark.parametrize("uuid", [b"aa", b"../../x", B])
@trio_test
async def test_a_node_cannot_make_up_repositories(uuid: bytes) -> None:
    locations = MemoryLocations(frozenset({A}))
    outcome = await removed(Outcome(True, (A, UUID(uuid))), locations)
    assert outcome == Outcome(True, (X, A))
    assert {u for _, u, _ in locations.records} == {X, A}


@trio_test
async def test_a_broken_log_does_not_change_what_is_true_of_the_content() -> None:
    locations = MemoryLocations(broken=True)
    assert (await removed(Outcome(True), locations)).ok


class Slow(MemoryStore):
    """A node whose removals take a while."""

    async def remove(self, key: object, before: int | None = None) -> Outcome:
        await trio.sleep(10)
        self.contents.clear()
        await trio.sleep(10)
        return Outcome(True)


@clock_test
async def test_a_removal_and_an_upload_are_logged_in_their_order(
    tmp_path: Path,
) -> None:
    """Else the log could end with a removal that came before the upload."""
    node, locations = Slow(), MemoryLocations()
    key = node.add(b"")
    locks = KeyLocks(str(tmp_path), str(tmp_path))
    store = ProxiedStore(node, X, locations, locks)

    async def remove() -> None:
        assert (await store.remove(key)).ok

    async with trio.open_nursery() as nursery:
        nursery.start_soon(remove)
        await trio.sleep(15)
        async with store.put(key, b"") as intake:
            assert not isinstance(intake, AlreadyHave)
            assert (await intake.accept(nothing(Validity.VALID))).ok
    assert [present for _, _, present in locations.records] == [False, True]
    assert key in node.contents


@clock_test
async def test_what_is_removed_meanwhile_is_not_there_already(tmp_path: Path) -> None:
    node, locations = Slow(), MemoryLocations()
    key = node.add(b"")
    locks = KeyLocks(str(tmp_path), str(tmp_path))
    store = ProxiedStore(node, X, locations, locks)

    async def remove() -> None:
        assert (await store.remove(key)).ok

    async with trio.open_nursery() as nursery:
        nursery.start_soon(remove)
        await trio.sleep(5)
        with pytest.raises(RemovedMeanwhile):
            async with store.put(key, b""):
                pytest.fail("it was removed")
    assert locations.places == set()
