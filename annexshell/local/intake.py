"""Receiving one key into a repository: what comes is written as it comes, and hashed
meanwhile by a thread (spec 02 §10)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from annexshell.model.payload import Direct, Payload
from annexshell.repository.hashing import Check, Verifier
from annexshell.repository.intake import Intake
from annexshell.store import Outcome
from annexshell.transport import moving
from annexshell.transport.feeding import Feed, Take
from annexshell.transport.syscalls import CHUNK
from annexshell.transport.window import Window

_AHEAD = CHUNK
"""Bytes that may be written and not yet hashed; more would only need more memory."""


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
        verifier = await self._take(payload)
        verdict = await payload.verdict()
        if verifier is not None:
            self._intake.verified_by(verifier)
        finish = partial(self._intake.finish, verdict, self._record)
        if await trio.to_thread.run_sync(finish):
            return Outcome(True)
        return Outcome(False, reason="Verification of content failed")

    async def _take(self, payload: Payload) -> Verifier | None:
        """Receive all bytes. Who hashes them for others too is only done at the verdict."""
        if payload.direct is not None:
            return await self._from_memory(payload.direct)
        if payload.length > moving.SMALL and self._intake.computes:
            await self._hashed_beside(payload)
        elif payload.length:
            # A thread costs more than hashing so little.
            target = memoryview(bytearray(min(CHUNK, payload.length)))
            while payload.remaining:
                await moving.fill(payload, target, self._intake.write)
        return None

    async def _hashed_beside(self, payload: Payload) -> None:
        """Write here, hash in a thread.

        Writing goes to the page cache: not worth a thread, and not to be lost by a kill.
        """
        window, feed = (
            Window(min(_AHEAD, payload.length)),
            Feed(self._intake.hash_bytes),
        )
        piece = -(-window.size // 2)

        def write(come: memoryview) -> None:
            self._intake.write_bytes(come)
            window.head += len(come)

        try:
            while payload.remaining:
                await feed.reached(window.head + piece - window.size)
                await moving.fill(payload, window.room(feed.done, piece), write)
                feed.follow(window, 0, 1)
            await feed.reached(window.head)
        finally:
            feed.stop()
            # The digest is the thread's as long as it works.
            with trio.CancelScope(shield=True):
                await feed.settled()

    async def _from_memory(self, direct: Direct) -> Verifier | None:
        """Write in a thread, which a disk that hangs cannot make others wait for.

        Returns who hashes the same bytes for all receivers, if they can be hashed so.
        """
        check, verifier = self._intake.shareable, None
        if check is None:
            await direct.each(self._intake.write)
        else:
            verifier = direct.once(check, partial(_verifier, check))
            await direct.each(self._intake.write_bytes)
        return verifier

    async def adopt(self) -> Outcome:
        adopt = partial(self._intake.adopt, self._record)
        return Outcome(await trio.to_thread.run_sync(adopt))


def _verifier(check: Check) -> tuple[Verifier, Take]:
    verifier = Verifier(check)
    return verifier, verifier.update
