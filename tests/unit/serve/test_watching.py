"""NOTIFYCHANGE: waits for a change, and for nothing else (spec 01 §5.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trio.testing

from annexshell.model.ids import UUID
from annexshell.protocol.conversation import Role
from annexshell.repository.open import Repository, open_repository
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.serve.watching import Watching
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.async_tests import trio_test
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import allow, link_pair
from tests.support.shell import make_annex

U = UUID(b"11111111-1111-4111-8111-111111111111")
K = key_of(b"hello").text
A, B, C = (letter * 40 for letter in (b"a", b"b", b"c"))


class Client:
    """A client by hand, and the server it talks to."""

    def __init__(self, repository: Repository, link: Link) -> None:
        self.refs = Path(repository.common_dir, "refs/heads")
        self.link = link
        self.rested = trio.Event()
        self.ended: list[int] = []
        self._heard = b""

    async def say(self, line: bytes) -> None:
        await self.link.write(line + b"\n")

    async def hear(self) -> bytes:
        while b"\n" not in self._heard:
            more = await self.link.read(65536)
            if not more:
                return b""
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def push(self, name: str, sha: bytes) -> None:
        new = self.refs / f"{name}.lock"
        new.write_bytes(sha + b"\n")
        new.rename(self.refs / name)


@asynccontextmanager
async def talking(path: Path) -> AsyncIterator[Client]:
    repository = open_repository(str(make_annex(path.resolve() / "r.git")))
    ours, theirs = link_pair(pipes=True)
    client = Client(repository, theirs)
    store = MemoryStore()
    store.add(b"hello")
    refs = Watching(repository)

    async def rest() -> None:
        client.rested.set()

    async def serve() -> None:
        channel = Channel(ours, Role.SERVER)
        session = Session(channel, store, allow, watch=refs.changed, rest=rest)
        try:
            client.ended.append(await converse(session, U))
        finally:
            refs.close()
            ours.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        assert await client.hear() == b"AUTH-SUCCESS " + U
        yield client
        theirs.close()


async def wait_until_watched(client: Client) -> None:
    """The server settles right before it watches; both happen before it waits."""
    await client.say(b"REMOVE " + K)
    assert await client.hear() == b"SUCCESS"
    await client.say(b"NOTIFYCHANGE")
    await client.rested.wait()
    await trio.testing.wait_all_tasks_blocked()


@trio_test
async def test_the_answer_comes_with_the_change(tmp_path: Path) -> None:
    async with talking(tmp_path) as client:
        await wait_until_watched(client)
        client.push("main", A)
        assert await client.hear() == b"CHANGED " + A
        await client.say(b"CHECKPRESENT " + K)
        assert await client.hear() == b"FAILURE"


@trio_test
async def test_what_changes_between_two_requests_is_not_missed(tmp_path: Path) -> None:
    async with talking(tmp_path) as client:
        await wait_until_watched(client)
        client.push("main", A)
        assert await client.hear() == b"CHANGED " + A
        client.push("main", B)
        await client.say(b"NOTIFYCHANGE")
        assert await client.hear() == b"CHANGED " + B


@trio_test
async def test_each_id_is_an_answer_of_its_own(tmp_path: Path) -> None:
    """Of several git-annex would fetch nothing if it has one of them."""
    async with talking(tmp_path) as client:
        await wait_until_watched(client)
        client.push("main", A)
        client.push("other", B)
        told = {await client.hear()}
        await client.say(b"NOTIFYCHANGE")
        told.add(await client.hear())
        assert told == {b"CHANGED " + A, b"CHANGED " + B}


@trio_test
async def test_a_client_that_hangs_up_is_noticed(tmp_path: Path) -> None:
    async with talking(tmp_path) as client:
        await wait_until_watched(client)
        client.link.close()
    assert client.ended == [0]


@trio_test
async def test_a_client_that_says_more_has_given_up_waiting(tmp_path: Path) -> None:
    async with talking(tmp_path) as client:
        await wait_until_watched(client)
        await client.say(b"CHECKPRESENT " + K)
        assert await client.hear() == b"ERROR unexpected command"
        assert await client.hear() == b"FAILURE"
        client.push("main", C)
        await client.say(b"NOTIFYCHANGE")
        assert await client.hear() == b"CHANGED " + C


@trio_test
async def test_what_cannot_be_watched_is_an_error_and_no_more(tmp_path: Path) -> None:
    async with talking(tmp_path) as client:
        client.refs.parent.rename(client.refs.parent.parent / "gone")
        await client.say(b"NOTIFYCHANGE")
        assert (await client.hear()).startswith(
            b"ERROR the refs are not there any more"
        )
        await client.say(b"CHECKPRESENT " + K)
        assert await client.hear() == b"SUCCESS"
