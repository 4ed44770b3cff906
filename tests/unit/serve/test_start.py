"""What is done at the end of a session, however it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from annexshell.model.ids import UUID
from annexshell.policy.restrictions import Restrictions
from annexshell.repository.open import open_repository
from annexshell.serve.request import SessionRequest
from annexshell.serve.start import _session
from annexshell.serve.stores import Served
from tests.support.async_tests import first_of, trio_test
from tests.support.content import HERE, PEER, make_repository
from tests.support.memory_store import MemoryStore
from tests.support.pair import link_pair


class Mistaken(MemoryStore):
    async def present(self, key: Any) -> bool:
        raise ZeroDivisionError


async def ended(tmp_path: Path, said: bytes, served: Served) -> None:
    """A session with a client that says ``said`` and goes."""
    request = SessionRequest(
        repository=make_repository(tmp_path / "r"),
        client=UUID(PEER),
        asked=UUID(HERE.encode()),
        restrictions=Restrictions(),
    )
    ours, theirs = link_pair(pipes=True)
    await theirs.write(said)
    theirs.close_writing()
    try:
        await _session(request, served, ours, UUID(HERE.encode()))
    finally:
        theirs.close()


@trio_test
async def test_a_mistake_of_ours_still_settles_and_keeps_promises(
    tmp_path: Path,
) -> None:
    done = []

    async def settle() -> None:
        done.append("settle")

    async def close() -> None:
        done.append("close")

    served = Served(Mistaken(), settle, close)
    with pytest.raises(BaseExceptionGroup) as raised:
        await ended(tmp_path, b"CHECKPRESENT WORM-s1--x\n", served)
    assert isinstance(first_of(raised.value), ZeroDivisionError)
    assert done == ["settle", "close"]


@trio_test
async def test_a_hangup_does_not_end_the_wait_for_promises(tmp_path: Path) -> None:
    """By default it would end this very process."""
    survived = []

    async def settle() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.sleep(0)

    async def close() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.sleep(0)
        survived.append(True)

    await ended(tmp_path, b"", Served(MemoryStore(), settle, close))
    assert survived == [True]


@pytest.mark.parametrize("said, name", [(b"", "idle"), (b"VERS", "stall")])
@trio_test
async def test_the_settings_of_the_repository_bound_the_session(
    tmp_path: Path, said: bytes, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The other setting is none that a test could wait for."""
    repository = make_repository(tmp_path / "r")
    with Path(repository.path, "config").open("a") as config:
        config.write("[annexshell]\n\tidle-timeout = never\n\tstall-timeout = 0\n")
        config.write(f"\t{name}-timeout = 1\n")
    request = SessionRequest(
        repository=open_repository(repository.path),
        client=UUID(PEER),
        asked=UUID(HERE.encode()),
        restrictions=Restrictions(),
    )
    done = []

    async def close() -> None:
        done.append("close")

    theirs, ours = link_pair(pipes=True)
    await theirs.write(said)
    served = Served(MemoryStore(), close, close)
    assert await _session(request, served, ours, UUID(HERE.encode())) == 1
    assert "the client was silent for 1s: ended the session" in caplog.messages[0]
    assert done == ["close", "close"]
    theirs.close()
