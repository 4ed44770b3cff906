"""What the local store does beyond what every Store does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from annexshell.errors import PayloadShort, RepositoryReplaced, StorageFailed
from annexshell.local import store as store_module
from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository import filelock
from annexshell.repository.branch import Branch
from annexshell.repository.filelock import FileLock
from annexshell.repository.journal import Journal
from annexshell.repository.locking import Locking
from annexshell.repository.open import open_repository
from annexshell.repository.pidlock import PidLock
from annexshell.store import AlreadyHave
from tests.support.async_tests import trio_test
from tests.support.content import (
    HERE,
    PEER,
    make_repository,
    watch_disk,
    write_object,
)
from tests.support.memory_store import key_of
from tests.support.sending import sent
from tests.support.world import remove_tree

CONTENT = b"some content"
K = key_of(CONTENT)
OURS = UUID(HERE.encode())


def reopened(path: Path) -> Branch:
    return Branch(open_repository(os.path.realpath(path)))


def logged(path: Path, key: Key = K) -> bool:
    """Whether the location log says that the repository has the content."""
    return OURS in reopened(path).locations(key)


def store_at(path: Path) -> LocalStore:
    return LocalStore(make_repository(path), UUID(PEER))


@trio_test
async def test_the_log_is_mended_where_it_disagrees(tmp_path: Path) -> None:
    store = store_at(tmp_path / "r")
    assert (await sent(store, K, CONTENT)).ok
    branch = reopened(tmp_path / "r")
    branch.record(K, OURS, False)
    async with store.put(K, b"") as intake:
        assert isinstance(intake, AlreadyHave)
    assert logged(tmp_path / "r")
    branch.record(key_of(b"other"), OURS, True)
    assert (await store.remove(key_of(b"other"))).ok
    assert not logged(tmp_path / "r", key_of(b"other"))


@trio_test
async def test_what_was_never_there_is_removed_without_waiting_for_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal from a cluster asks all nodes, most of which do not have it."""
    store = store_at(tmp_path / "r")
    assert (await sent(store, K, CONTENT)).ok
    waited = []
    real = Journal.locked

    def locked(journal: Journal, timeout: float | None = None) -> FileLock:
        waited.append(journal)
        return real(journal, timeout)

    def no_thread(work: Callable[[], object]) -> None:
        raise AssertionError(work)

    monkeypatch.setattr(Journal, "locked", locked)
    with monkeypatch.context() as patched:
        patched.setattr(store_module, "in_thread", no_thread)
        assert (await store.remove(key_of(b"other"))).ok
    assert not waited
    assert (await store.remove(K)).ok
    assert waited


@trio_test
async def test_the_record_of_a_removal_is_on_the_disk_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r"
    store = store_at(path)
    assert (await sent(store, K, CONTENT)).ok
    steps = watch_disk(monkeypatch)
    rmdir = os.rmdir

    def watched(directory: str) -> None:
        steps.append("rmdir")
        rmdir(directory)

    monkeypatch.setattr(os, "rmdir", watched)
    assert (await store.remove(K)).ok
    # Its text before its name; and its name last, when all is freed that is.
    assert steps == ["sync journal", "rename", *["rmdir"] * 3, "sync journal"]


@trio_test
async def test_the_record_of_a_removal_is_on_the_disk_though_it_ends_badly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r"
    store = store_at(path)
    assert (await sent(store, K, CONTENT)).ok
    steps = watch_disk(monkeypatch)

    def broken(*_: object, **__: object) -> None:
        raise StorageFailed(action="tidying up", where=str(path), detail="broken")

    monkeypatch.setattr(Locking, "clear", broken)
    with pytest.raises(StorageFailed):
        await store.remove(K)
    assert steps[-2:] == ["rename", "sync journal"]


@trio_test
async def test_a_damaged_object_is_removed_too(tmp_path: Path) -> None:
    """It is not present, and yet it is in the way."""
    path = tmp_path / "r"
    store = store_at(path)
    object_file = write_object(open_repository(os.path.realpath(path)), K, b"damaged")
    assert not await store.present(K)
    assert (await store.remove(K)).ok
    assert not object_file.exists()


@trio_test
async def test_what_is_stored_is_logged_and_committed_at_the_end(
    tmp_path: Path,
) -> None:
    store = store_at(tmp_path / "r")
    assert (await sent(store, K, CONTENT)).ok
    assert logged(tmp_path / "r")
    assert os.listdir(tmp_path / "r/annex/journal")
    await store.settle()
    assert os.listdir(tmp_path / "r/annex/journal") == []
    assert logged(tmp_path / "r")


@trio_test
async def test_a_log_that_becomes_private_is_so_from_then_on(tmp_path: Path) -> None:
    """The config is read anew for each request: also how the journal is locked."""
    path = tmp_path / "r"
    store = store_at(path)
    assert (await sent(store, K, CONTENT)).ok
    public = os.listdir(path / "annex/journal")
    with (path / "config").open("a") as config:
        config.write("[annex]\n\tprivate = true\n\tpidlock = true\n")
    taken = []
    real = PidLock.take

    def take(lock: PidLock) -> bool:
        taken.append(lock.path)
        return real(lock)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PidLock, "take", take)
        patched.setattr(filelock, "lock_descriptor", None)
        assert (await sent(store, key_of(b"other"), b"other")).ok
    assert taken
    assert os.listdir(path / "annex/journal") == public
    assert len(os.listdir(path / "annex/journal-private")) == 1


@trio_test
async def test_an_unmounted_disk_is_an_error_and_not_absence(tmp_path: Path) -> None:
    """Spec 02 §17.5: an empty mount point must never pass for an empty repository."""
    store = store_at(tmp_path / "r")
    assert (await sent(store, K, CONTENT)).ok
    (tmp_path / "r").rename(tmp_path / "away")
    for left_behind in (False, True):
        if left_behind:
            (tmp_path / "r").mkdir()
        with pytest.raises(RepositoryReplaced):
            await store.present(K)
        with pytest.raises(RepositoryReplaced):
            await store.remove(K)
    (tmp_path / "r").rmdir()
    (tmp_path / "away").rename(tmp_path / "r")
    assert await store.present(K)


@pytest.mark.parametrize("version", ["9", "10"])
@trio_test
async def test_a_disk_that_went_before_the_first_request(
    tmp_path: Path, version: str
) -> None:
    repository = make_repository(tmp_path / "r", version=version)
    store = LocalStore(repository, UUID(PEER))
    (tmp_path / "r").rename(tmp_path / "away")
    with pytest.raises(RepositoryReplaced):
        await store.present(K)


@trio_test
async def test_another_repository_under_the_path_is_not_served(tmp_path: Path) -> None:
    store = store_at(tmp_path / "r")
    assert (await sent(store, K, CONTENT)).ok
    remove_tree(tmp_path / "r")
    make_repository(tmp_path / "r")
    config = tmp_path / "r/config"
    config.write_text(config.read_text().replace(HERE, "9" + HERE[1:]))
    with pytest.raises(RepositoryReplaced, match="another repository"):
        await store.present(K)


@trio_test
async def test_more_bytes_than_the_key_has_are_never_written(tmp_path: Path) -> None:
    store = store_at(tmp_path / "r")
    outcome = await sent(store, K, CONTENT + b"x" * 100_000)
    assert not outcome.ok
    assert not os.listdir(tmp_path / "r/annex/tmp")
    assert (await sent(store, K, CONTENT)).ok


@trio_test
async def test_a_key_that_never_was_here_gets_no_log(tmp_path: Path) -> None:
    """Else every fsck would complain of a key without copies."""
    store = store_at(tmp_path / "r")
    assert (await store.remove(K)).ok
    assert not Path(tmp_path, "r/annex/journal").exists() or not os.listdir(
        tmp_path / "r/annex/journal"
    )


@trio_test
async def test_every_byte_that_came_can_be_resumed(tmp_path: Path) -> None:
    store = store_at(tmp_path / "r")
    with pytest.raises(PayloadShort):
        await sent(store, K, CONTENT[:5], promised=len(CONTENT))
    async with store.put(K, b"") as intake:
        assert not isinstance(intake, AlreadyHave)
        assert intake.offset == 5
    assert (await sent(store, K, CONTENT)).ok


@trio_test
async def test_who_is_alone_needs_no_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(make_repository(tmp_path / "r"), UUID(PEER), alone=True)
    assert (await sent(store, K, CONTENT)).ok

    async def no_thread(work: Callable[[], object]) -> object:
        raise AssertionError("a thread was asked for")

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "in_thread", no_thread)
        async with store.put(K, b"") as intake:
            assert isinstance(intake, AlreadyHave)
        async with store.lock(K) as held:
            assert held is not None
            await held.unlock()
        assert (await store.remove(K)).ok
    assert not logged(tmp_path / "r")


_TELLS_OF_THE_LOCK = """\
import fcntl, sys
with open(sys.argv[1], "a") as lock, open(sys.argv[2], "a") as told:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        told.write("free ")
    except BlockingIOError:
        told.write("held ")
"""


@trio_test
async def test_no_hook_runs_while_others_wait_for_the_journal(tmp_path: Path) -> None:
    """It may take long, or want the journal itself."""
    program, told = tmp_path / "program", tmp_path / "told"
    program.write_text(_TELLS_OF_THE_LOCK)
    path = os.path.realpath(tmp_path / "r")
    hook = f"{sys.executable} -IS {program} {path}/annex/journal.lck {told}"
    more = {"annex_freezecontent-command": hook}
    store = LocalStore(make_repository(tmp_path / "r", more=more), UUID(PEER))
    assert (await sent(store, K, CONTENT)).ok
    told.unlink()
    # The time is over, so the content is protected again.
    assert not (await store.remove(K, 1)).ok
    assert set(told.read_text().split()) == {"free"}
    assert (await store.remove(K)).ok
    assert not logged(tmp_path / "r")
