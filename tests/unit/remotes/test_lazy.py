"""A node that is opened when it is needed."""

from __future__ import annotations

import pytest

from annexshell.errors import PeerUnreachable
from annexshell.remotes.lazy import LazyStore
from annexshell.store import Store
from tests.support.async_tests import trio_test
from tests.support.memory_store import MemoryStore, key_of

K = key_of(b"content")


@trio_test
async def test_every_request_tries_until_one_succeeds() -> None:
    mounted: list[Store] = []
    opened = 0

    def open_store() -> Store:
        nonlocal opened
        opened += 1
        if not mounted:
            raise PeerUnreachable(name="disk", detail="not mounted")
        return mounted[0]

    store = LazyStore(open_store)
    for _ in range(2):
        with pytest.raises(PeerUnreachable, match="cannot connect to disk"):
            await store.present(K)
    with pytest.raises(PeerUnreachable):
        store.get(K, 0, b"")
    mounted.append(MemoryStore(contents={K: b"content"}))
    assert await store.present(K)
    assert await store.timestamp() == 1000
    assert (await store.remove(K)).ok
    assert not await store.present(K)
    assert opened == 4, "an open store is kept"
