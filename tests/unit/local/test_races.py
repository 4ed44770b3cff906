"""LocalStore beside others that change the same key: what it says of the content is so."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from annexshell.errors import ContentLocked, StorageFailed
from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.proxy.store import ProxiedStore
from annexshell.repository.branch import Branch
from annexshell.repository.content import Content
from annexshell.repository.open import Repository
from annexshell.store import AlreadyHave
from tests.support.async_tests import trio_test
from tests.support.content import (
    HELLO,
    HERE,
    PEER,
    drop,
    make_repository,
    object_path,
    put,
    reopened,
    sha256_key,
    write_object,
)
from tests.support.locations import MemoryLocations

KEY = sha256_key(HELLO)
HERE_UUID = UUID(HERE.encode())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r")


def logged(repository: Repository) -> bool:
    return HERE_UUID in Branch(repository).locations(KEY)


def others_put(repository: Repository) -> None:
    assert put(reopened(repository), KEY, HELLO)
    Branch(repository).record(KEY, HERE_UUID, True)


def others_drop(repository: Repository) -> None:
    assert drop(reopened(repository), KEY)
    Branch(repository).record(KEY, HERE_UUID, False)


@pytest.mark.parametrize("there", [True, False])
@trio_test
async def test_a_put_right_after_a_remove_is_not_logged_as_absent(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    others_put(repository)
    if not there:
        # As git-annex leaves the log of what it did not find.
        assert drop(reopened(repository), KEY)
    remove = Content.remove

    def then_put(self: Content, *args: Any, **kwargs: Any) -> bool:
        done = remove(self, *args, **kwargs)
        others_put(repository)
        return done

    monkeypatch.setattr(Content, "remove", then_put)
    assert (await LocalStore(repository, UUID(PEER)).remove(KEY)).ok
    assert reopened(repository).present(KEY)
    assert logged(repository)


@trio_test
async def test_what_is_removed_meanwhile_is_not_had_already(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    others_put(repository)
    begin = Content.begin_intake
    droppers = [partial(others_drop, repository)]

    def then_drop(self: Content, *args: Any, **kwargs: Any) -> Any:
        found = begin(self, *args, **kwargs)
        if droppers:
            droppers.pop()()
        return found

    monkeypatch.setattr(Content, "begin_intake", then_drop)
    with pytest.raises(ContentLocked):
        async with LocalStore(repository, UUID(PEER)).put(KEY, b""):
            pass
    assert not logged(repository)


@trio_test
async def test_what_is_being_removed_is_not_had_already(
    repository: Repository,
) -> None:
    others_put(repository)
    lock = reopened(repository)._locking.lock_exclusive(KEY)
    assert lock is not None
    with lock, pytest.raises(ContentLocked):
        async with LocalStore(repository, UUID(PEER)).put(KEY, b""):
            pass


@trio_test
async def test_what_is_had_already_is_synced_and_logged(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PUT may have died, or git-annex written, without a sync."""
    write_object(repository, KEY, HELLO)
    synced: set[int] = set()
    fsync = os.fsync

    def noting(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noting)
    async with LocalStore(repository, UUID(PEER)).put(KEY, b"") as intake:
        assert isinstance(intake, AlreadyHave)
    path = object_path(repository, KEY)
    assert {path.stat().st_ino, path.parent.stat().st_ino} <= synced
    assert logged(repository)


@trio_test
async def test_what_cannot_be_synced_is_not_had_already(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_object(repository, KEY, HELLO)

    def failing(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageFailed):
        async with LocalStore(repository, UUID(PEER)).put(KEY, b""):
            pass


def test_before_version_10_a_dead_lockers_lock_is_held_as_long_as_promised(
    tmp_path: Path,
) -> None:
    repository = make_repository(tmp_path / "r", version="9")
    others_put(repository)

    async def locker() -> None:
        store = LocalStore(repository, UUID(PEER))
        async with store.lock(KEY) as held:
            assert held is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.aclose)
            await trio.sleep(599)
            with pytest.raises(ContentLocked):
                drop(reopened(repository), KEY)
        assert drop(reopened(repository), KEY)

    trio.run(locker, clock=trio.testing.MockClock(autojump_threshold=0.5))


@pytest.mark.parametrize("version", ["8", "9", "10"])
@trio_test
async def test_an_orderly_unlock_lets_go_at_once(tmp_path: Path, version: str) -> None:
    repository = make_repository(tmp_path / "r", version=version)
    others_put(repository)
    store = LocalStore(repository, UUID(PEER))
    async with store.lock(KEY) as held:
        assert held is not None
        await held.unlock()
    assert drop(reopened(repository), KEY)
    await store.aclose()


@trio_test
async def test_a_removal_that_began_is_recorded_though_the_client_leaves(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_object(repository, KEY, HELLO)
    locations = MemoryLocations(places={(KEY, HERE_UUID)})
    store = ProxiedStore(LocalStore(repository, UUID(PEER)), HERE_UUID, locations)

    def leave() -> int:
        trio.from_thread.run_sync(scope.cancel)
        return 0

    monkeypatch.setattr("annexshell.local.store.boot_seconds", leave)
    with trio.CancelScope() as scope:
        await store.remove(KEY, before=1)
    assert not reopened(repository).present(KEY)
    assert locations.records == [(KEY, HERE_UUID, False)]
