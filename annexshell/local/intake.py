"""Receiving one key into a repository: while one piece is written and hashed, the next is
read (spec 02 §10)."""

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
        if self.offset:
            await trio.to_thread.run_sync(self._intake.prehash)
        await self._take(payload)
        verdict = await payload.verdict()
        finish = partial(self._intake.finish, verdict, self._record)
        if await trio.to_thread.run_sync(finish):
            return Outcome(True)
        return Outcome(False, reason="Verification of content failed")

    async def _take(self, payload: Payload) -> None:
        length = min(CHUNK, payload.length)
        filling, writing = (memoryview(bytearray(length)) for _ in range(2))
        count = await self._fill(payload, filling)
        while count:
            filling, writing = writing, filling
            piece = writing[:count]
            if payload.remaining == 0:
                await trio.to_thread.run_sync(self._intake.write, piece)
                return
            count = await self._write_and_fill(piece, payload, filling)

    async def _fill(self, payload: Payload, target: memoryview) -> int:
        return await moving.fill(payload, target) if payload.remaining else 0

    async def _write_and_fill(
        self, piece: memoryview, payload: Payload, target: memoryview
    ) -> int:
        """Write ``piece`` in a thread and read the next meanwhile.

        A failure to write is raised only when the reading is done; the source's failure
        only when the piece is safely written, so that a resume finds it.
        """
        failures: list[Exception] = []
        count = 0

        async def write() -> None:
            try:
                await trio.to_thread.run_sync(self._intake.write, piece)
            except Exception as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            try:
                count = await self._fill(payload, target)
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return count

    async def adopt(self) -> Outcome:
        adopt = partial(self._intake.adopt, self._record)
        return Outcome(await trio.to_thread.run_sync(adopt))
