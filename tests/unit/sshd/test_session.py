"""Flow control of a channel: what is granted is never more than what was taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import asyncssh
import pytest

from annexshell.sshd.session import WINDOW, Session

STEP = WINDOW // 4


class FakeChannel:
    """Records what a session asks of its channel."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.sent: list[tuple[bytes, int | None]] = []

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    def write(self, data: bytes, datatype: int | None) -> None:
        self.sent.append((data, datatype))


async def _nothing(session: Session) -> None:
    return


def conversation(
    play: Callable[[Session, FakeChannel], Awaitable[None]],
) -> None:
    async def run() -> None:
        session, channel = Session(_nothing), FakeChannel()
        session.connection_made(cast("asyncssh.SSHServerChannel[bytes]", channel))
        await play(session, channel)

    asyncio.run(run())


def test_a_paused_channel_resumes_only_when_all_was_taken() -> None:
    async def play(session: Session, channel: FakeChannel) -> None:
        for _ in range(4):
            assert channel.asked == []
            session.data_received(bytes(STEP), None)
        for _ in range(4):
            assert channel.asked == ["pause"]
            assert len(await session.read()) == STEP
        assert channel.asked == ["pause", "resume"]

    conversation(play)


def test_what_arrived_is_read_before_the_end() -> None:
    async def play(session: Session, channel: FakeChannel) -> None:
        session.data_received(b"last", None)
        assert session.eof_received()
        assert [await session.read(), await session.read()] == [b"last", b""]

    conversation(play)


def test_a_waiting_reader_hears_that_the_client_is_gone() -> None:
    async def play(session: Session, channel: FakeChannel) -> None:
        reading = asyncio.ensure_future(session.read())
        await asyncio.sleep(0)
        session.connection_lost(None)
        assert await reading == b""
        assert session.gone.is_set()

    conversation(play)


def test_a_writer_waits_for_room() -> None:
    async def play(session: Session, channel: FakeChannel) -> None:
        session.pause_writing()
        writing = asyncio.ensure_future(session.write(b"x", 1))
        await asyncio.sleep(0)
        assert channel.sent == [(b"x", 1)] and not writing.done()
        session.resume_writing()
        await writing

    conversation(play)


def test_a_writer_hears_that_the_client_is_gone() -> None:
    async def play(session: Session, channel: FakeChannel) -> None:
        session.pause_writing()
        writing = asyncio.ensure_future(session.write(b"x"))
        await asyncio.sleep(0)
        session.connection_lost(None)
        with pytest.raises(BrokenPipeError):
            await writing
        with pytest.raises(BrokenPipeError):
            await session.write(b"y")
        assert channel.sent == [(b"x", None)]

    conversation(play)
