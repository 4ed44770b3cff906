"""Receiving one key into a repository: while one piece is hashed, the next is read and
written (spec 02 §10)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from annexshell.model.payload import Payload
from annexshell.repository.intake import Intake
from annexshell.store import Outcome
from annexshell.transport import moving
from annexshell.transport.syscalls import CHUNK


class LocalIntake:
    """An open `Intake`, fed from a payload. ``record`` logs the content as present."""

    def __init__(self, intake: Intake, record: Callable[[], object]) -> None:
        self._intake = intake
        self._record = record

    @property
    def offset(self) -> int:
        return self._intake.offset

    async def accept(self, payload: Payload) -> Outcome:
        size = self._intake.key.size
        if size is not None and self.offset + payload.length > size:
            return Outcome(False, reason="more bytes were sent than the key has")
        self._intake.expect(payload.length)
        if self.offset:
            await trio.to_thread.run_sync(self._intake.prehash)
        await self._take(payload)
        verdict = await payload.verdict()
        finish = partial(self._intake.finish, verdict, self._record)
        if await trio.to_thread.run_sync(finish):
            return Outcome(True)
        return Outcome(False, reason="Verification of content failed")

    async def _take(self, payload: Payload) -> None:
        """Write what comes as it comes, and hash it in large pieces in a thread."""
        length = min(CHUNK, payload.length)
        filling, hashing = (memoryview(bytearray(length)) for _ in range(2))
        count = await self._fill(payload, filling)
        while count:
            filling, hashing = hashing, filling
            piece = hashing[:count]
            if payload.remaining == 0 and count <= moving.SMALL:
                # A thread costs more than hashing so little.
                return self._intake.hash_bytes(piece)
            if payload.remaining == 0:
                await trio.to_thread.run_sync(self._intake.hash_bytes, piece)
                return
            count = await self._hash_and_fill(piece, payload, filling)

    async def _fill(self, payload: Payload, target: memoryview) -> int:
        # Writing goes to the page cache: not worth a thread, and not to be lost by a kill.
        return await moving.fill(payload, target, self._intake.write_bytes)

    async def _hash_and_fill(
        self, piece: memoryview, payload: Payload, target: memoryview
    ) -> int:
        """Hash ``piece`` in a thread and read the next meanwhile."""
        failures: list[Exception] = []
        count = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, self._intake.hash_bytes, piece)
            try:
                count = await self._fill(payload, target)
            except Exception as error:
                # Not to be wrapped into the nursery's group of failures.
                failures.append(error)
        if failures:
            raise failures[0]
        return count

    async def adopt(self) -> Outcome:
        adopt = partial(self._intake.adopt, self._record)
        return Outcome(await trio.to_thread.run_sync(adopt))
