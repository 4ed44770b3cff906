"""Connections to nodes that outlive a session: taken at its start, left at its end.

A resident process holds them meanwhile (`warm/pool.py`). Whatever goes wrong with that
costs a new connection: what was taken is used only after the node answered VERSION as it
did when the connection was made, so no request ever goes to one that died while it rested.
"""

from __future__ import annotations

import array
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import trio

from annexshell.errors import AnnexshellError, LinkError, ProtocolError
from annexshell.model.ids import UUID
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import Role, State
from annexshell.remotes import kept
from annexshell.remotes.kept import Kept, Note, Place
from annexshell.remotes.peer import PeerStore
from annexshell.transport.channel import Channel
from annexshell.transport.child import Adopted, ChildLink
from annexshell.transport.complaints import Complaints
from annexshell.transport.link import Link

log = logging.getLogger("annexshell.remotes")

LIFETIMES = 5
"""How often a connection may rest as long as it may, in all: a node reads its config once,
and what is changed there has to count some day."""
_ANSWERING = 1.0
"""Seconds for which the resident, which does nothing slow, is waited for."""
_GREETING = 2.0
"""Seconds that a node has to say that it is still there; less than a cluster waits before
it asks the next one."""


@attrs.frozen
class Taken:
    """A connection that another session made, as it was handed to us."""

    note: Note
    descriptors: tuple[int, ...]

    def link(self, name: str) -> ChildLink:
        """All of it, to be closed as one."""
        reading, writing, complaints, process = self.descriptors
        link = ChildLink(
            Adopted(process), reading, writing, name, Complaints(complaints)
        )
        link.opened = self.note.opened
        return link


class Keeper:
    """The resident process, as one session talks to it; ``rest`` is annexshell.node-idle.

    One question at a time. If an answer fails to come nothing is asked any more: it would
    be taken for the next one.
    """

    def __init__(self, descriptor: int, rest: float) -> None:
        self.rest = rest
        self._turn = trio.Lock()
        self._socket: socket.socket | None = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._left: list[object] = []

    async def take(self, key: str) -> Taken | None:
        """A connection that rests under ``key``; None if there is none."""
        message, descriptors = await self._asked(kept.taking(key))
        note = kept.answered(message)
        if note is None or len(descriptors) != kept.DESCRIPTORS:
            _close(descriptors)
            return None
        return Taken(note, tuple(descriptors))

    async def leave(self, key: str, link: ChildLink, version: int) -> bool:
        """Hand ``link``, which is idle, to the resident; whether it is not ours now."""
        now = time.monotonic()
        rest = min(self.rest, link.opened + LIFETIMES * self.rest - now)
        if self._socket is None or rest <= 0 or link.complaints is None:
            return False
        try:
            process = _pidfd(link)
        except OSError as error:
            log.debug("%s cannot be kept: %s", link.name, error)
            return False
        message = kept.keeping(Kept(key, rest, Note(version, link.opened).text()))
        descriptors = [*link.detach(), link.complaints.detach(), process]
        # An object of a process that nobody waited for complains when it goes.
        self._left.append(link.process)
        try:
            answer, more = await self._asked(message, descriptors)
        finally:
            # If they did not arrive, then ssh ends with its input.
            _close(descriptors)
        _close(more)
        log.debug("%s rests: %r", link.name, answer)
        return True

    async def _asked(
        self, message: bytes, descriptors: Sequence[int] = ()
    ) -> tuple[bytes, list[int]]:
        """What the resident answers, and the descriptors that came with it."""
        async with self._turn:
            if self._socket is None:
                return b"", []
            try:
                with trio.fail_after(_ANSWERING):
                    socket.send_fds(self._socket, [message], descriptors)
                    await trio.lowlevel.wait_readable(self._socket)
                return _received(self._socket)
            except (OSError, trio.TooSlowError) as error:
                log.debug("the resident process does not answer: %r", error)
                self.close()
                return b"", []
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """From now on nothing is kept; doing it twice is harmless."""
        if self._socket is not None:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
            self._socket = None


def _pidfd(link: ChildLink) -> int:
    """One of our own, since the link's is closed with it. Raises OSError."""
    process = link.process
    if isinstance(process, Adopted):
        return process.detach()
    if isinstance(process, trio.Process) and process.poll() is None:
        # Nobody has waited for it: the number is still its own.
        return os.pidfd_open(process.pid)
    raise ProcessLookupError("it has ended")


def _received(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Raises OSError."""
    size = kept.DESCRIPTORS * array.array("i").itemsize
    message, ancillary, _, _ = sock.recvmsg(
        kept.LONGEST, socket.CMSG_SPACE(size), socket.MSG_CMSG_CLOEXEC
    )
    if not message:
        raise ConnectionResetError("it has ended")
    return message, [fd for item in ancillary for fd in _descriptors(*item)]


def _descriptors(level: int, kind: int, data: bytes) -> list[int]:
    if (level, kind) != (socket.SOL_SOCKET, socket.SCM_RIGHTS):
        return []
    found = array.array("i")
    found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


class KeepingPeer(PeerStore):
    """A PeerStore whose connections come from ``keeper``, and go there at the end.

    ``place`` says what decides where they lead; it may raise PeerUnreachable.
    """

    def __init__(
        self,
        name: str,
        uuid: UUID,
        open_link: Callable[[], Awaitable[Link]],
        keeper: Keeper,
        place: Callable[[], Place],
        **more: Any,
    ) -> None:
        super().__init__(name, uuid, open_link, **more)
        self._keeper = keeper
        self._place = place
        self._keys = WeakKeyDictionary[Channel, str]()

    async def _connected(self) -> Channel:
        told = self._wanted_bypass()
        key = self._key(told)
        channel = await self._resumed(key, told) if key else None
        if channel is None:
            channel = await super()._connected()
        if key and self._told == told:
            # As it was when the connection was made: agents and their keys may change.
            self._keys[channel] = key
        return channel

    def _key(self, told: tuple[UUID, ...]) -> str:
        """Empty for a connection that is not kept."""
        if self.newest == 0:
            # Such a node cannot be asked whether it is there.
            return ""
        try:
            return kept.connection_key(self._place(), self.newest, told)
        except (AnnexshellError, OSError) as error:
            # Whoever makes a connection says so to the client.
            log.debug("%s: %s", self.name, error)
            return ""

    async def _resumed(self, key: str, told: tuple[UUID, ...]) -> Channel | None:
        """A channel as good as a new one; None if there is none."""
        taken = await self._keeper.take(key)
        if taken is None:
            return None
        link = taken.link(self.name)
        link.stall = self._limits.payload
        channel = Channel(link, Role.CLIENT)
        channel.talk.received(m.AuthSuccess(self.uuid))
        try:
            fit = await self._as_before(channel, taken.note.version)
        except BaseException:
            link.abandon()
            raise
        if not fit:
            log.debug("the connection to %s that was kept is of no use", self.name)
            link.abandon()
            return None
        self._told = told
        log.debug("went on with a connection to %s that was kept", self.name)
        return channel

    async def _as_before(self, channel: Channel, version: int) -> bool:
        """Whether the node is there, has nothing else to say, and speaks ``version``."""
        if version < self._least:
            return False
        try:
            with trio.move_on_after(_GREETING):
                channel.say(m.Version(self.newest))
                answer = await channel.receive()
                expected = isinstance(answer, m.Version) and answer.number == version
                return expected and not channel.spoken_to()
        except (LinkError, ProtocolError) as error:
            log.debug("%s", error)
        return False

    async def aclose(self) -> None:
        """`PeerStore.aclose`, but an idle connection is left to the next session."""
        channel = self._channel
        if channel is not None and await self._left(channel):
            self._channel = None
        await super().aclose()

    async def _left(self, channel: Channel) -> bool:
        key, link = self._keys.get(channel), channel.link
        if key is None or channel.version < 1 or not isinstance(link, ChildLink):
            return False
        return await _rests(channel) and await self._keeper.leave(
            key, link, channel.version
        )


async def _rests(channel: Channel) -> bool:
    """Whether nothing is under way, on either side."""
    if channel.talk.state is not State.IDLE:
        return False
    try:
        with trio.move_on_after(_ANSWERING):
            await channel.flush()
            # One that stalled says so here.
            await channel.link.write(b"")
            return not channel.spoken_to()
    except LinkError as error:
        log.debug("%s", error)
    return False
