"""A Store that is opened when it is needed, and tried again after it failed.

A node on this machine may be on a disk that is not mounted now: each request then says
so, and the first one after the disk came back is served.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from annexshell.model.key import Key
from annexshell.model.payload import Payload
from annexshell.store import (
    AlreadyHave,
    HeldLock,
    Intake,
    Outcome,
    Store,
    at_once,
)


class LazyStore:
    """What ``open_store`` opens; it raises RequestError where that fails."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open = open_store
        self._opened: Store | None = None

    @property
    def _store(self) -> Store:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def present_at_once(self, key: Key) -> bool | None:
        return at_once(self._store)(key)

    async def present(self, key: Key) -> bool:
        return await self._store.present(key)

    def lock(self, key: Key) -> AbstractAsyncContextManager[HeldLock | None]:
        return self._store.lock(key)

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        return await self._store.remove(key, before)

    def get(
        self, key: Key, offset: int, name: bytes
    ) -> AbstractAsyncContextManager[Payload]:
        return self._store.get(key, offset, name)

    def put(
        self, key: Key, name: bytes
    ) -> AbstractAsyncContextManager[Intake | AlreadyHave]:
        return self._store.put(key, name)

    async def timestamp(self) -> int:
        return await self._store.timestamp()
