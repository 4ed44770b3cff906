"""What every Store must do, whoever it is (annexshell.store)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio

from annexshell.errors import PayloadShort, RequestError
from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.proxy.store import ProxiedStore
from annexshell.store import AlreadyHave, Store
from tests.support.async_tests import trio_test
from tests.support.clusters import N1, N2, N3, cluster_of
from tests.support.content import PEER, make_repository
from tests.support.locations import MemoryLocations
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import NODE, peer_of
from tests.support.sending import got, sent

Maker = Callable[[], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def in_memory() -> AsyncIterator[Store]:
    yield MemoryStore()


@asynccontextmanager
async def behind_sockets() -> AsyncIterator[Store]:
    async with peer_of(MemoryStore()) as (peer, _):
        yield peer


@asynccontextmanager
async def behind_pipes() -> AsyncIterator[Store]:
    async with peer_of(MemoryStore(), pipes=True) as (peer, _):
        yield peer


@asynccontextmanager
async def proxied() -> AsyncIterator[Store]:
    async with peer_of(MemoryStore()) as (peer, _):
        yield ProxiedStore(peer, NODE, MemoryLocations())


@asynccontextmanager
async def chained() -> AsyncIterator[Store]:
    async with proxied() as inner, peer_of(inner) as (peer, _):
        yield peer


@asynccontextmanager
async def bare_repository() -> AsyncIterator[Store]:
    with TemporaryDirectory() as path:
        store = LocalStore(make_repository(Path(path, "r.git")), UUID(PEER))
        yield store
        await store.settle()


@asynccontextmanager
async def work_tree_of_version_9() -> AsyncIterator[Store]:
    with TemporaryDirectory() as path:
        repository = make_repository(Path(path, "r"), bare=False, version="9")
        yield LocalStore(repository, UUID(PEER))


@asynccontextmanager
async def repository_behind_pipes() -> AsyncIterator[Store]:
    async with bare_repository() as inner, peer_of(inner, pipes=True) as (peer, _):
        yield ProxiedStore(peer, NODE, MemoryLocations())


@asynccontextmanager
async def cluster(*nodes: Store) -> AsyncIterator[Store]:
    with TemporaryDirectory() as path:
        yield cluster_of(dict(zip((N1, N2, N3), nodes)), path).session()


@asynccontextmanager
async def two_in_memory() -> AsyncIterator[Store]:
    async with cluster(MemoryStore(), MemoryStore()) as store:
        yield store


@asynccontextmanager
async def three_behind_sockets() -> AsyncIterator[Store]:
    async with (
        peer_of(MemoryStore()) as (first, _),
        peer_of(MemoryStore(), version=3) as (second, _),
        cluster(first, MemoryStore(), second) as store,
    ):
        yield store


@asynccontextmanager
async def cluster_of_repositories() -> AsyncIterator[Store]:
    async with (
        bare_repository() as first,
        repository_behind_pipes() as second,
        cluster(first, second) as store,
    ):
        yield store


@asynccontextmanager
async def cluster_behind_pipes() -> AsyncIterator[Store]:
    async with three_behind_sockets() as inner, peer_of(inner, pipes=True) as (peer, _):
        yield peer


@asynccontextmanager
async def cluster_of_a_cluster() -> AsyncIterator[Store]:
    async with (
        three_behind_sockets() as inner,
        peer_of(inner) as (peer, _),
        cluster(MemoryStore(), peer) as store,
    ):
        yield store


MAKERS: dict[str, Maker] = {
    "bare": bare_repository,
    "version 9": work_tree_of_version_9,
    "repository-pipes": repository_behind_pipes,
    "memory": in_memory,
    "peer-sockets": behind_sockets,
    "peer-pipes": behind_pipes,
    "proxied": proxied,
    "chained": chained,
}
CLUSTERS: dict[str, Maker] = {
    "cluster-memory": two_in_memory,
    "cluster-sockets": three_behind_sockets,
    "cluster-repositories": cluster_of_repositories,
    "cluster-behind-pipes": cluster_behind_pipes,
    "cluster-of-a-cluster": cluster_of_a_cluster,
}
ALL = MAKERS | CLUSTERS
every_store = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())
every_locking_store = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
every_cluster = pytest.mark.parametrize("make", CLUSTERS.values(), ids=CLUSTERS)
moving_content = pytest.mark.usefixtures("zerocopy")

CONTENT = bytes(i * 7 % 251 for i in range(300_000))
K = key_of(CONTENT)


@moving_content
@every_store
@trio_test
async def test_what_was_put_is_there_and_comes_back(make: Maker) -> None:
    async with make() as store:
        assert not await store.present(K)
        assert (await sent(store, K, CONTENT)).ok
        assert await store.present(K)
        assert await got(store, K) == (CONTENT, Validity.VALID)
        assert await got(store, K, 299_999) == (CONTENT[-1:], Validity.VALID)
        assert await got(store, K, 300_000) == (b"", Validity.VALID)
        assert await got(store, K, 10**30) == (b"", Validity.VALID)


@every_store
@trio_test
async def test_the_empty_content_is_content(make: Maker) -> None:
    async with make() as store:
        empty = key_of(b"")
        assert (await sent(store, empty, b"")).ok
        assert await got(store, empty) == (b"", Validity.VALID)


@every_store
@trio_test
async def test_absent_content_is_empty_and_invalid(make: Maker) -> None:
    async with make() as store:
        assert await got(store, K) == (b"", Validity.INVALID)
        assert not await store.present(K)


@every_store
@trio_test
async def test_what_is_there_is_not_taken_again(make: Maker) -> None:
    async with make() as store:
        assert (await sent(store, K, CONTENT)).ok
        async with store.put(K, b"") as intake:
            assert isinstance(intake, AlreadyHave)


@moving_content
@every_store
@pytest.mark.parametrize(
    "bad",
    [CONTENT[:-1] + b"X", CONTENT[:-1], CONTENT + b"X"],
    ids=["other", "less", "more"],  # pytest puts them into the environment
)
@trio_test
async def test_other_content_than_the_keys_is_not_kept(make: Maker, bad: bytes) -> None:
    async with make() as store:
        assert not (await sent(store, K, bad)).ok
        assert not await store.present(K)
        assert (await sent(store, K, CONTENT)).ok


@moving_content
@every_store
@trio_test
async def test_right_content_called_invalid_is_verified_and_kept(make: Maker) -> None:
    async with make() as store:
        assert (await sent(store, K, CONTENT, verdict=Validity.INVALID)).ok
        assert await got(store, K) == (CONTENT, Validity.VALID)


@every_store
@trio_test
async def test_unverifiable_content_called_invalid_is_not_kept(make: Maker) -> None:
    async with make() as store:
        key = Key.parse(b"WORM-s5-m1--file")
        assert not (await sent(store, key, b"12345", verdict=Validity.INVALID)).ok
        assert not await store.present(key)
        assert (await sent(store, key, b"12345")).ok
        assert await got(store, key) == (b"12345", Validity.VALID)


@moving_content
@every_store
@trio_test
async def test_an_interrupted_put_goes_on_where_it_stopped(make: Maker) -> None:
    async with make() as store:
        with pytest.raises(PayloadShort):
            await sent(store, K, CONTENT[:200_000], promised=300_000)
        assert not await store.present(K)
        offset = 0
        while offset == 0:
            # A node behind a connection hears of the end a little later.
            await trio.lowlevel.checkpoint()
            try:
                async with store.put(K, b"") as intake:
                    assert not isinstance(intake, AlreadyHave)
                    offset = intake.offset
            except RequestError:
                continue
        assert 0 < offset <= 200_000
        assert (await sent(store, K, CONTENT)).ok
        assert await got(store, K) == (CONTENT, Validity.VALID)


@every_store
@trio_test
async def test_a_put_that_is_given_up_leaves_nothing(make: Maker) -> None:
    async with make() as store:
        async with store.put(K, b"") as intake:
            assert not isinstance(intake, AlreadyHave)
        assert not await store.present(K)
        assert (await sent(store, K, CONTENT)).ok


@every_store
@trio_test
async def test_content_put_in_place_by_others(make: Maker) -> None:
    async with make() as store:
        async with store.put(K, b"") as intake:
            assert not isinstance(intake, AlreadyHave)
            assert not (await intake.adopt()).ok
        assert not await store.present(K)


@every_store
@trio_test
async def test_removing_is_idempotent(make: Maker) -> None:
    async with make() as store:
        assert (await store.remove(K)).ok
        await sent(store, K, CONTENT)
        assert (await store.remove(K)).ok
        assert not await store.present(K)
        assert (await store.remove(K)).ok
        assert await got(store, K) == (b"", Validity.INVALID)


@every_store
@trio_test
async def test_removing_only_before_a_time(make: Maker) -> None:
    async with make() as store:
        await sent(store, K, CONTENT)
        now = await store.timestamp()
        assert not (await store.remove(K, now)).ok
        assert await store.present(K)
        assert (await store.remove(K, now + 1000)).ok
        assert (await store.remove(K, 1)).ok, "absent content needs no time"


@every_locking_store
@trio_test
async def test_locked_content_stays(make: Maker) -> None:
    async with make() as store:
        async with store.lock(K) as held:
            assert held is None
        await sent(store, K, CONTENT)
        async with store.lock(K) as held:
            assert held is not None
            await held.unlock()
        assert (await store.remove(K)).ok


@every_locking_store
@trio_test
async def test_a_dead_lockers_lock_is_retained(make: Maker) -> None:
    async with make() as store:
        await sent(store, K, CONTENT)
        async with store.lock(K) as held:
            assert held is not None
        with pytest.raises(RequestError, match="locked"):
            await store.remove(K)
        assert await store.present(K)


@every_cluster
@trio_test
async def test_a_cluster_promises_no_locks(make: Maker) -> None:
    async with make() as store:
        assert (await sent(store, K, CONTENT)).ok
        async with store.lock(K) as held:
            assert held is None
