"""Sending one key's content to a peer (spec 01 §7.4, §7.5)."""

from __future__ import annotations

import math

import attrs

from annexshell.errors import (
    LinkError,
    PayloadShort,
    PeerFailed,
    ProtocolError,
    printable,
)
from annexshell.model.duration import time_to_hash
from annexshell.model.payload import Payload, Validity
from annexshell.protocol import messages as m
from annexshell.store import Outcome
from annexshell.transport import moving
from annexshell.transport.channel import Channel, said

_DOUBTED = "the client called its bytes invalid"


@attrs.define
class PeerIntake:
    """A peer that answered PUT with an offset.

    ``storing`` is how many seconds it may take to say what became of the bytes.
    """

    name: str
    channel: Channel
    offset: int
    storing: float = math.inf
    _doubted: bool = attrs.field(init=False, default=False)

    async def accept(self, payload: Payload) -> Outcome:
        """Pass the payload on. Raises PeerFailed where the peer went away.

        PayloadShort, the failure of whoever sends, goes through: the peer keeps what it
        has and is resumed some other day.
        """
        try:
            if await self._stored_by_saying(payload):
                return Outcome(False, reason=_DOUBTED)
            self.channel.say(m.Data(payload.length))
            # It may hash what it has before it reads on.
            with self.channel.link.patient(time_to_hash(self.offset)):
                await self.channel.flush()
                if self.channel.version == 0:
                    if not await self._without_verdict(payload):
                        return Outcome(False, reason=_DOUBTED)
                else:
                    await moving.send(payload, self.channel.link)
                    verdict = await payload.verdict()
                    self.channel.say(said(verdict, payload.length))
                return await self._stored()
        except PayloadShort:
            raise
        except (LinkError, ProtocolError) as error:
            raise PeerFailed(name=self.name, detail=error) from error

    async def _stored(self) -> Outcome:
        self.channel.link.idle = self.storing
        return outcome_of(await self.channel.receive())

    async def _stored_by_saying(self, payload: Payload) -> bool:
        """Whether DATA must not be said: a version 0 peer that has all bytes accepts with
        it, so that waits for a verdict, which is bad."""
        nothing_left = self.channel.version == 0 and payload.length == 0
        return nothing_left and await self._is_doubted(payload)

    async def _without_verdict(self, payload: Payload) -> bool:
        """A version 0 peer accepts with the last byte, so that waits for the verdict.

        False if the verdict kept that byte back.
        """

        async def take(piece: memoryview) -> None:
            if payload.remaining == 0 and await self._is_doubted(payload):
                return
            await self.channel.link.write(piece)

        await moving.feed(payload, take)
        return not self._doubted

    async def _is_doubted(self, payload: Payload) -> bool:
        self._doubted = await payload.verdict() is Validity.INVALID
        return self._doubted

    async def adopt(self) -> Outcome:
        """DATA-PRESENT, for a peer that knows it."""
        if self.channel.version < 4:
            raise PeerFailed(name=self.name, detail="it cannot be told of content")
        try:
            self.channel.say(m.DataPresent())
            return await self._stored()
        except (LinkError, ProtocolError) as error:
            raise PeerFailed(name=self.name, detail=error) from error


def outcome_of(answer: m.Message) -> Outcome:
    """What a peer's final answer to PUT or REMOVE says."""
    reason = ""
    if isinstance(answer, m.Error):
        reason = printable(answer.text)
    others = answer.uuids if isinstance(answer, m.SuccessPlus | m.FailurePlus) else ()
    ok = isinstance(answer, m.Success | m.SuccessPlus)
    return Outcome(ok, tuple(others), reason)
