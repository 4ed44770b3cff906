"""Waiting for the locks of a key (`repository/keylocks.py`): polling, since waiting in
the kernel could not be cancelled when the client leaves."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from functools import partial
from typing import TypeVar

import trio

from annexshell.errors import LockTimeout, StorageFailed, TransferInProgress
from annexshell.model.duration import time_to_hash
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.repository.keylocks import KeyLock, KeyLocks

_Lock = TypeVar("_Lock")

log = logging.getLogger("annexshell.proxy")

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5
SHORTLY = 2.0
"""Seconds to wait where waiting longer might be waiting in a circle."""


@asynccontextmanager
async def removing(
    locks: KeyLocks | None, key: Key, patience: float
) -> AsyncIterator[None]:
    """The *change* lock for a removal. Raises LockTimeout, and StorageFailed: not locked,
    the log might come to say that removed content is there."""
    with await _changed(locks, key, patience, needed=True):
        yield


@asynccontextmanager
async def storing(
    locks: KeyLocks | None, key: Key, patience: float
) -> AsyncIterator[None]:
    """The *change* lock for content that arrived. Raises LockTimeout.

    A disk where nothing can be locked is no reason to send content away.
    """
    with await _changed(locks, key, patience, needed=False):
        yield


@asynccontextmanager
async def storing_when_judged(
    locks: KeyLocks | None, key: Key, patience: float, payload: Payload
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """`storing` from the payload's verdict on, which nobody hears without the lock.

    Before it nothing is stored, and a removal need not wait for slow bytes. What is
    yielded takes the lock where no verdict came to be asked for.
    """
    said = payload.verdict
    async with AsyncExitStack() as held:
        taken = False

        async def take() -> None:
            nonlocal taken
            if not taken:
                await held.enter_async_context(storing(locks, key, patience))
                taken = True

        async def verdict() -> Validity:
            found = await said()
            await take()
            return found

        payload.verdict = verdict
        try:
            yield take
        finally:
            payload.verdict = said


@asynccontextmanager
async def uploading(
    locks: KeyLocks, key: Key, patience: float, *, waits: bool = True
) -> AsyncIterator[KeyLock | None]:
    """The *upload* lock, once whoever has it is done; None where it cannot be locked.

    Raises TransferInProgress where that one has not got on for ``patience`` seconds (and
    the time to hash all of the key), or at once unless it ``waits``.
    """
    try:
        lock = locks.try_upload(key)
        if lock is None and waits:
            lock = await _polled(
                partial(locks.try_upload, key), _watch(locks, key, patience)
            )
    except StorageFailed as error:
        log.warning("%s; going on without the lock", error)
        yield None
        return
    if lock is None:
        raise TransferInProgress(key=key)
    with lock:
        yield lock


async def _changed(
    locks: KeyLocks | None, key: Key, patience: float, *, needed: bool
) -> AbstractContextManager[object]:
    if locks is None:
        return nullcontext()
    until = trio.current_time() + patience
    try:
        lock = await _polled(
            partial(locks.try_change, key), lambda: trio.current_time() < until
        )
    except StorageFailed as error:
        if needed and locks.lockable:
            raise
        log.warning("%s; going on without the lock", error)
        return nullcontext()
    if lock is None:
        raise LockTimeout(where=locks.change_path, holder="another session")
    return lock


async def _polled(
    attempt: Callable[[], _Lock | None], worthwhile: Callable[[], bool]
) -> _Lock | None:
    pause = _FIRST_PAUSE
    while True:
        lock = attempt()
        if lock is not None or not worthwhile():
            return lock
        await trio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _watch(locks: KeyLocks, key: Key, patience: float) -> Callable[[], bool]:
    """Whether the upload under way has moved within the time that may pass without."""
    patience += time_to_hash(key.size or 0)
    seen = locks.upload_trace(key)
    until = trio.current_time() + patience

    def gets_on() -> bool:
        nonlocal seen, until
        now, found = trio.current_time(), locks.upload_trace(key)
        if found != seen:
            seen, until = found, now + patience
        return now < until

    return gets_on
