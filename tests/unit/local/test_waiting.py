"""A second upload of a key waits for the first one, as long as that gets on."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from annexshell.errors import LinkClosed, RepositoryReplaced, TransferInProgress
from annexshell.local.intake import LocalIntake
from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.model.payload import Validity
from annexshell.repository.branch import Branch
from annexshell.repository.intake import Intake
from annexshell.repository.open import Repository
from annexshell.repository.waiting import Watch
from annexshell.store import AlreadyHave
from annexshell.transport.attention import attended
from tests.support.async_tests import clock_test
from tests.support.cluster_world import without_threads
from tests.support.content import (
    HELLO,
    HERE,
    OTHER_PEER,
    PEER,
    begin,
    make_repository,
    reopened,
    sha256_key,
)
from tests.support.pair import link_pair

KEY = sha256_key(HELLO)
STALL = 100


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r", more={"annexshell_stall-timeout": "100"})


@pytest.fixture
def store(repository: Repository) -> LocalStore:
    return LocalStore(repository, UUID(PEER))


def first(repository: Repository) -> Intake:
    """Half of an upload by somebody else."""
    intake = begin(reopened(repository), KEY, OTHER_PEER)
    intake.write(HELLO[:3])
    return intake


@pytest.fixture(autouse=True)
def blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps while a thread works, and spins, which makes threads slow."""
    without_threads(monkeypatch)


@pytest.mark.thorough
@clock_test
async def test_what_the_first_one_stored_is_had_already(
    repository: Repository, store: LocalStore
) -> None:
    intake = first(repository)

    async def go_on() -> None:
        for byte in HELLO[3:]:
            await trio.sleep(STALL * 0.9)
            intake.write(bytes([byte]))
        assert intake.finish(Validity.VALID, lambda: None)
        intake.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go_on)
        async with store.put(KEY, b"") as answer:
            assert isinstance(answer, AlreadyHave)
    assert trio.current_time() >= 2.7 * STALL
    # The first one did not log it: whoever says ALREADY-HAVE does.
    assert UUID(HERE.encode()) in Branch(repository).locations(KEY)


@clock_test
async def test_where_the_first_one_ended_the_second_goes_on(
    repository: Repository, store: LocalStore
) -> None:
    intake = first(repository)

    async def die() -> None:
        await trio.sleep(STALL / 2)
        intake.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(die)
        async with store.put(KEY, b"") as answer:
            assert isinstance(answer, LocalIntake)
            assert answer.offset == 3
    assert trio.current_time() >= STALL / 2


@clock_test
async def test_a_repository_that_is_replaced_meanwhile_takes_nothing(
    repository: Repository, store: LocalStore
) -> None:
    """Another disk is mounted there: this one does not have what is stored now."""
    intake = first(repository)

    async def replace() -> None:
        await trio.sleep(STALL / 2)
        config = Path(repository.git_dir, "config")
        config.write_text(config.read_text().replace(HERE, OTHER_PEER.decode()))
        intake.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(replace)
        with pytest.raises(RepositoryReplaced):
            async with store.put(KEY, b""):
                pytest.fail("it was offered an offset")
    assert UUID(HERE.encode()) not in Branch(repository).locations(KEY)


@clock_test
async def test_who_stands_still_is_not_waited_for(
    repository: Repository, store: LocalStore
) -> None:
    with first(repository), pytest.raises(TransferInProgress) as raised:
        async with store.put(KEY, b""):
            raise AssertionError("two at once")
    assert STALL <= trio.current_time() <= STALL + 1
    assert OTHER_PEER.decode() in str(raised.value)


@clock_test
async def test_a_client_that_leaves_is_not_waited_for(
    repository: Repository, store: LocalStore
) -> None:
    ours, theirs = link_pair(pipes=True)

    async def leave() -> None:
        await trio.sleep(STALL / 2)
        theirs.close()

    with first(repository):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            with pytest.raises(LinkClosed):
                async with attended(ours), store.put(KEY, b""):
                    raise AssertionError("two at once")
        assert STALL / 2 <= trio.current_time() < STALL
    ours.close()


@clock_test
async def test_nothing_is_polled_in_a_hurry(
    repository: Repository, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    gets_on = Watch.gets_on

    def counted(self: Watch, now: float) -> bool:
        looks.append(now)
        return gets_on(self, now)

    monkeypatch.setattr(Watch, "gets_on", counted)
    with first(repository), pytest.raises(TransferInProgress):
        async with store.put(KEY, b""):
            raise AssertionError("two at once")
    assert len(looks) < 3 * STALL
