"""Waiting for the locks of a key: bounded, cancellable, and never in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from annexshell.errors import LockTimeout, StorageFailed, TransferInProgress
from annexshell.model.duration import SLOWEST
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.proxy import turns
from annexshell.repository.keylocks import KeyLocks
from tests.support.async_tests import clock_test
from tests.support.memory_store import key_of

K = key_of(b"content")


@pytest.fixture
def locks(tmp_path: Path) -> KeyLocks:
    return KeyLocks(str(tmp_path / "locks"), str(tmp_path))


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[KeyLocks]:
    (tmp_path / "file").touch()
    yield KeyLocks(str(tmp_path / "file/locks"), str(tmp_path))


@clock_test
async def test_a_change_waits_for_the_other(locks: KeyLocks) -> None:
    done: list[str] = []

    async def remove() -> None:
        async with turns.removing(locks, K, 10):
            done.append("removed")

    async with trio.open_nursery() as nursery:
        async with turns.storing(locks, K, 10):
            nursery.start_soon(remove)
            await trio.sleep(5)
            done.append("stored")
    assert done == ["stored", "removed"]


Turn = Callable[[KeyLocks, Key, float], AbstractAsyncContextManager[None]]


@pytest.mark.parametrize("wait", [turns.removing, turns.storing])
@clock_test
async def test_a_change_does_not_wait_for_ever(locks: KeyLocks, wait: Turn) -> None:
    held, begun = locks.try_change(K), trio.current_time()
    assert held is not None
    with held, pytest.raises(LockTimeout, match="another session"):
        async with wait(locks, K, 7):
            pytest.fail("the lock is held")
    assert 7 <= trio.current_time() - begun < 8


@clock_test
async def test_waiting_can_be_cancelled(locks: KeyLocks) -> None:
    held = locks.try_change(K)
    assert held is not None
    with held, trio.move_on_after(3) as scope:
        async with turns.removing(locks, K, 1000):
            pytest.fail("the lock is held")
    assert scope.cancelled_caught
    async with turns.removing(locks, K, 0):
        assert locks.try_change(K) is None


@clock_test
async def test_without_a_disk_removals_fail_and_uploads_go_on(
    broken: KeyLocks, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StorageFailed):
        async with turns.removing(broken, K, 1):
            pytest.fail("nothing can be locked")
    async with turns.storing(broken, K, 1):
        pass
    async with turns.uploading(broken, K, 1) as lock:
        assert lock is None
    assert sum("going on without the lock" in line for line in caplog.messages) == 2


@clock_test
async def test_where_files_are_no_locks_removals_go_on(broken: KeyLocks) -> None:
    broken.lockable = False
    async with turns.removing(broken, K, 1):
        pass


@clock_test
async def test_an_upload_waits_while_the_other_gets_on(locks: KeyLocks) -> None:
    first = locks.try_upload(K)
    assert first is not None
    begun = trio.current_time()

    async def hold() -> None:
        for _ in range(20):
            await trio.sleep(9)
            first.touch()
        first.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold)
        async with turns.uploading(locks, K, 10) as lock:
            assert lock is not None
            assert trio.current_time() >= begun + 180


@clock_test
async def test_an_upload_does_not_wait_for_one_that_hangs(locks: KeyLocks) -> None:
    key = Key.parse(b"WORM-s%d--big" % (30 * SLOWEST))
    first = locks.try_upload(key)
    assert first is not None
    begun = trio.current_time()
    with first, pytest.raises(TransferInProgress):
        async with turns.uploading(locks, key, 10):
            pytest.fail("the lock is held")
    # The other may be hashing all of it.
    assert 40 <= trio.current_time() - begun < 41


@clock_test
async def test_a_gateways_upload_does_not_wait(locks: KeyLocks) -> None:
    first = locks.try_upload(K)
    assert first is not None
    begun = trio.current_time()
    with first, pytest.raises(TransferInProgress):
        async with turns.uploading(locks, K, 10, waits=False):
            pytest.fail("the lock is held")
    assert trio.current_time() == begun


@clock_test
async def test_the_lock_is_taken_with_the_verdict(locks: KeyLocks) -> None:
    async def said() -> Validity:
        return Validity.VALID

    payload = Payload(0, verdict=said)
    async with turns.storing_when_judged(locks, K, 1, payload) as take:
        free = locks.try_change(K)
        assert free is not None
        free.close()
        assert await payload.verdict() is Validity.VALID
        assert locks.try_change(K) is None
        await take()
    assert payload.verdict is said
    free = locks.try_change(K)
    assert free is not None
    free.close()


@clock_test
async def test_nobody_hears_a_verdict_without_the_lock(locks: KeyLocks) -> None:
    async def said() -> Validity:
        return Validity.VALID

    held = locks.try_change(K)
    assert held is not None
    payload = Payload(0, verdict=said)
    with held, pytest.raises(LockTimeout):
        async with turns.storing_when_judged(locks, K, 1, payload):
            await payload.verdict()
