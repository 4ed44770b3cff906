"""Where protocol and trio meet: messages over a Link, in turn, with payloads beside them.

What is sent waits in a buffer until somebody has to wait for the other side, so that a
small answer with its content is one system call.
"""

from __future__ import annotations

import select

import trio

from annexshell.errors import LinkClosed, Malformed
from annexshell.model.duration import time_to_hash
from annexshell.model.payload import Payload, Validity
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import Conversation, Role, State
from annexshell.protocol.grammar import write_line
from annexshell.protocol.parser import Parser
from annexshell.transport import moving
from annexshell.transport.attention import Attention
from annexshell.transport.link import Link

_READ = 1 << 16

_TURN = 32
"""Messages read without waiting, after which others in the process have their turn."""

_UNDER_WAY = (State.OFFERED, State.UPLOADED, State.DELIVERED)
"""What comes next belongs to a payload: nobody has to think about it for long."""


class Channel:
    """One peer, spoken to in ``role``.

    ``linger`` is for how many milliseconds `receive` waits by itself, before it leaves that
    to trio, which costs more than a small request. All else in the process stands still
    meanwhile.
    """

    linger = 0

    def __init__(self, link: Link, role: Role) -> None:
        self.link = link
        self.talk = Conversation(role)
        self.attention = Attention(link)
        self._parser = Parser()
        self._unsent = b""
        self._poll: select.poll | None = None
        self._in_a_row = 0

    @property
    def version(self) -> int:
        return self.talk.version

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.talk.state in (State.IDLE, State.REFUSED)

    def spoken_to(self) -> bool:
        """Whether the peer said something that was not read yet, or closed; never waits.

        Also what came behind the last message counts: asking on would take it for the
        answer.
        """
        return self._parser.buffered > 0 or self.link.readable()

    def say(self, message: m.Message) -> None:
        """Send ``message`` with whatever goes out next. Raises OurMistake."""
        self.talk.sent(message)
        self._unsent += write_line(message)

    async def flush(self) -> None:
        """Send what waits to be sent. Raises LinkClosed."""
        unsent, self._unsent = self._unsent, b""
        if unsent and (done := self.link.write_now(unsent)) < len(unsent):
            await self.link.write(memoryview(unsent)[done:])

    def _lingered(self) -> bool:
        """Whether more of the peer is here, or came soon enough. Raises LinkClosed."""
        if self._parser.buffered:
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.link.reading, select.POLLIN)
        if not self._poll.poll(self.linger):
            return False
        found = self.link.read_now(_READ)
        if found is None:
            return False
        self._took(found)
        return True

    def _took(self, data: bytes) -> None:
        if not data:
            raise LinkClosed(name=self.link.name)
        self._parser.feed(data)

    async def silent(self, seconds: float) -> bool:
        """Whether the peer says nothing for so long. Raises LinkClosed."""
        await self.flush()
        if self.linger and self._lingered():
            return False
        if not self._parser.buffered:
            with trio.move_on_after(seconds) as patience:
                await self.link.hung_up()
            return patience.cancelled_caught
        return False

    async def receive(self) -> m.Message:
        """The next message of the peer.

        Raises LinkClosed at the end (also in the middle of a line), Malformed and
        OutOfTurn for lines that may not be, LineTooLong.
        """
        if self._unsent:
            await self.flush()
        if self.linger and self._lingered():
            self._in_a_row += 1
            if self._in_a_row >= _TURN:
                # Signals are handled only there.
                self._in_a_row = 0
                await trio.lowlevel.checkpoint()
            message = self._next()
            if message is not None:
                # As it is with small requests, which this is kept short for.
                return message
        return await self.listen()

    async def listen(self) -> m.Message:
        """`receive` without sending what waits: for the relay, where both sides speak."""
        while (message := self._next()) is None:
            owed = self.talk.state in _UNDER_WAY or self._parser.buffered > 0
            self._took(await self.link.read(_READ, owed=owed))
        return message

    def _next(self) -> m.Message | None:
        """What was said already; None where more of it is to come."""
        try:
            message = self._parser.next_message()
        except Malformed:
            self.talk.received_nonsense()
            raise
        if message is not None:
            self.talk.received(message)
        return message

    async def send_piece(self, data: bytes) -> None:
        """Send DATA and ``data``, as the relay of git's protocol does. Raises LinkClosed."""
        self.say(m.Data(len(data)))
        self._unsent += data
        await self.flush()

    def incoming(self, length: int) -> Payload:
        """The ``length`` bytes that follow the DATA just received.

        Its verdict is what the peer says behind them, from version 1 on.
        """
        payload = Payload(
            length=length,
            descriptor=self.link.reading,
            prefix=self._parser.take(length),
            verdict=self._validity,
            source=self.link.name,
        )
        payload.ready = self.link.arrival(payload)
        return payload

    async def outgoing(self, payload: Payload, offset: int = 0) -> None:
        """Send DATA, the payload, and from version 1 on its verdict.

        The peer has ``offset`` bytes already, and may hash them before it reads on.

        Raises PayloadShort (the connection is then useless: bytes were promised) and
        LinkClosed.
        """
        self.say(m.Data(payload.length))
        small = await moving.read_small(payload)
        if small is not None:
            self._unsent += small
        else:
            with self.link.patient(time_to_hash(offset)):
                await self.flush()
                await moving.send(payload, self.link)
        verdict = await payload.verdict()
        if self.version >= 1:
            self.say(said(verdict, payload.length))

    async def _validity(self) -> Validity:
        if self.version < 1:
            return Validity.UNSAID
        message = await self.receive()
        return Validity.VALID if isinstance(message, m.Valid) else Validity.INVALID


def said(verdict: Validity, length: int) -> m.Message:
    """The verdict for a peer that wants one.

    What nobody vouched for is called INVALID, which makes the receiver check it itself;
    of nothing there is nothing to doubt (spec 01 §7.4, §8.7).
    """
    if verdict is Validity.UNSAID:
        return m.Valid() if length == 0 else m.Invalid()
    return m.Valid() if verdict is Validity.VALID else m.Invalid()
