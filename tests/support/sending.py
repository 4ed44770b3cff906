"""Content that goes to and comes from a Store in a test."""

from __future__ import annotations

import trio

from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.store import AlreadyHave, Outcome, Store
from annexshell.transport import moving
from tests.support.pair import link_pair


async def sent(
    store: Store,
    key: Key,
    content: bytes,
    verdict: Validity = Validity.VALID,
    promised: int | None = None,
) -> Outcome:
    """PUT ``content`` from a pipe, starting where the store wants it."""
    async with store.put(key, b"name") as intake:
        assert not isinstance(intake, AlreadyHave)
        payload = await piped(content[intake.offset :], verdict, promised)
        return await intake.accept(payload)


async def piped(content: bytes, verdict: Validity, promised: int | None) -> Payload:
    """A payload that comes through a pipe; ``promised`` bytes, if not as many."""
    theirs, ours = link_pair(pipes=True)

    async def write() -> None:
        try:
            await ours.write(content)
        finally:
            ours.close()

    async def said() -> Validity:
        theirs.close()
        return verdict

    trio.lowlevel.spawn_system_task(write)
    length = len(content) if promised is None else promised
    return Payload(length, theirs.reading, verdict=said, source="the test")


async def got(store: Store, key: Key, offset: int = 0) -> tuple[bytes, Validity]:
    """GET the content, and what the store says of it."""
    async with store.get(key, offset, b"") as payload:
        content = bytearray()

        async def take(piece: memoryview) -> None:
            content.extend(piece)

        await moving.feed(payload, take)
        verdict = await payload.verdict()
        payload.kept = True
        return bytes(content), verdict
