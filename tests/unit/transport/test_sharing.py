"""Pipes that share what comes by a pipe: who gets what without a copy, and who does not."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing

from annexshell.errors import PayloadShort
from annexshell.model.payload import Payload, Validity
from annexshell.transport import moving, syscalls, zerocopy
from annexshell.transport.fanout import Fan
from annexshell.transport.moving import SMALL
from annexshell.transport.sharing import Sharing
from annexshell.transport.syscalls import Unsupported
from annexshell.transport.window import Window
from tests.support.async_tests import clock_test, trio_test
from tests.unit.transport.test_fanout import (
    PATIENCE,
    Receiver,
    descriptors,
    together,
)
from tests.unit.transport.test_fanout_memory import CONTENT, MIB, Direct
from tests.unit.transport.test_fanout_memory import run as run_all

BEHIND = b"VALID\n"
PAGE = 4096


@attrs.define
class Calls:
    """What was asked of the kernel: bytes, by name."""

    teed: int = 0
    forgotten: int = 0
    read: int = 0
    tees: int = 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Counts, of the fan alone: receivers read by themselves."""
    calls = Calls()
    tee, forget, read_now = syscalls.tee, syscalls.forget, syscalls.read_now

    def counted_tee(source: int, out: int, count: int) -> int:
        calls.tees += 1
        done = tee(source, out, count)
        calls.teed += done
        return done

    def counted_forget(source: int, null: int, count: int) -> int:
        done = forget(source, null, count)
        calls.forgotten += done
        return done

    def counted_read(fd: int, target: memoryview) -> int:
        done = read_now(fd, target)
        if fd in sources:
            calls.read += done
        return done

    monkeypatch.setattr(syscalls, "tee", counted_tee)
    monkeypatch.setattr(syscalls, "forget", counted_forget)
    monkeypatch.setattr(syscalls, "read_now", counted_read)
    return calls


sources: set[int] = set()
"""The descriptors of payloads that are handed out just now."""


@asynccontextmanager
async def client(
    content: bytes = CONTENT, *, size: int | None = None, length: int | None = None
) -> AsyncIterator[Payload]:
    """The payload of a client that sends ``content`` and closes, by a pipe.

    ``size`` is the pipe's, if it is not to be the usual one; ``length`` is what it promised.
    """
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    if size is not None:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, size)

    async def send() -> None:
        try:
            await syscalls.write_all(writing, content + BEHIND)
        finally:
            os.close(writing)

    async def valid() -> Validity:
        return Validity.VALID

    length = len(content) if length is None else length
    sources.add(reading)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            yield Payload(length, reading, verdict=valid)
            nursery.cancel_scope.cancel()
    finally:
        sources.discard(reading)
        os.close(reading)


async def behind(payload: Payload) -> bytes:
    """What comes after the payload, which was read whole."""
    assert payload.remaining == 0
    return await syscalls.read_some(payload.descriptor, 100)


# -- what is not copied ------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4])
@clock_test
async def test_nodes_alone_get_all_of_it_without_a_copy(
    calls: Calls, count: int
) -> None:
    async with client(size=MIB) as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            nodes = [Receiver(fan.branch(0, "node"), rest=1) for _ in range(count)]
            assert await together(fan, *nodes) is None
        assert await behind(payload) == BEHIND
    assert [node.heard for node in nodes] == [CONTENT] * count
    assert {node.verdict for node in nodes} == {Validity.VALID}
    # What comes before they have asked for their pipes is read.
    assert calls.read <= 2 * MIB
    assert calls.forgotten == len(CONTENT) - calls.read
    assert calls.teed >= count * calls.forgotten


@trio_test
async def test_beside_those_that_store_here_all_is_read_once(calls: Calls) -> None:
    async with client() as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            here = Direct(fan.branch(0, "here"), digests="one")
            nodes = [Receiver(fan.branch(0, "node")) for _ in range(2)]
            assert await run_all(fan, here, *nodes) is None
        assert await behind(payload) == BEHIND
    assert here.heard == b"".join(here.digest) == CONTENT
    assert [node.heard for node in nodes] == [CONTENT] * 2
    assert calls.read == len(CONTENT) and calls.forgotten == 0
    assert calls.teed > 0


@clock_test
async def test_resumed_ones_get_their_part(calls: Calls) -> None:
    skips = [0, 5, 100_001, 3 * MIB + 7, len(CONTENT) - 1, len(CONTENT), 9 * MIB]
    async with client() as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            nodes = [Receiver(fan.branch(skip, "node")) for skip in skips]
            assert await together(fan, *nodes) is None
        assert await behind(payload) == BEHIND
    assert [node.heard for node in nodes] == [CONTENT[skip:] for skip in skips]
    assert {node.verdict for node in nodes} == {Validity.VALID}
    assert calls.forgotten > 0


@clock_test
async def test_what_all_have_already_is_passed_over(calls: Calls) -> None:
    """Who needed it has left."""
    async with client() as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            skips = (2 * MIB, 3 * MIB)
            nodes = [Receiver(fan.branch(skip, "node")) for skip in skips]
            assert await together(fan, *nodes) is None
    assert [node.heard for node in nodes] == [CONTENT[skip:] for skip in skips]


@clock_test
async def test_who_begins_late_gets_all_of_it(calls: Calls) -> None:
    """Until it asks for its pipe nobody knows how it will take them: all is kept."""
    async with client() as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            late = Receiver(fan.branch(0, "late"), begin=10)
            other = Receiver(fan.branch(0, "other"))
            assert await together(fan, late, other) is None
    assert late.heard == other.heard == CONTENT


class Pausing(Receiver):
    """Takes no byte for a while, once it has 4 MiB."""

    async def _digest(self, count: int) -> None:
        if 4 * MIB <= self.count < 5 * MIB:
            await trio.sleep(50)


@clock_test
async def test_who_falls_behind_is_given_what_it_missed_and_then_shares(
    calls: Calls,
) -> None:
    content = CONTENT * 4
    async with client(content, size=MIB) as payload:
        with Fan(payload, patience=1e9) as fan:
            pauses = Pausing(fan.branch(0, "pauses"), rest=1)
            other = Receiver(fan.branch(0, "other"))
            assert await together(fan, pauses, other) is None
    assert pauses.heard == other.heard == content
    assert calls.read > 8 * MIB
    assert calls.forgotten > 4 * MIB


# -- when the source is left alone -------------------------------------------------------------


@clock_test
async def test_nothing_is_read_before_somebody_has_nothing_left(calls: Calls) -> None:
    """What is read while the pipes are full would have to be copied."""
    async with client(size=MIB) as payload:
        with Fan(payload, patience=1e9) as fan:
            nodes = [
                Receiver(fan.branch(0, "node"), rest=rest, piece=MIB // 16)
                for rest in (160, 163)
            ]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(together, fan, *nodes)
                await trio.sleep(65)
                # In ten seconds the faster takes a piece.
                taken = max(node.count for node in nodes)
                assert 6 * MIB // 16 <= taken <= 7 * MIB // 16
                assert len(CONTENT) - payload.remaining <= 2 * MIB
            assert [node.heard for node in nodes] == [CONTENT] * 2
    # And that only since they are not equally fast.
    assert calls.read <= 3 * MIB


@clock_test
async def test_who_keeps_others_waiting_is_given_up_as_ever(calls: Calls) -> None:
    content = CONTENT * 4
    async with client(content) as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            slow = Receiver(fan.branch(0, "slow"), rest=1000)
            other = Receiver(fan.branch(0, "other"))
            assert await together(fan, slow, other) is None
    assert slow.branch.given_up == "it kept the others waiting for more than 1m"
    assert content.startswith(slow.heard) and slow.verdict is None
    assert other.heard == content and other.verdict is Validity.VALID
    # Alone, it shares again.
    assert calls.forgotten > 0


@clock_test
async def test_who_leaves_holds_up_nobody(calls: Calls) -> None:
    async with client() as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            left = Receiver(fan.branch(0, "left"), enough=2 * MIB)
            stuck = Receiver(fan.branch(0, "stuck"), begin=5, rest=1e6)
            other = Receiver(fan.branch(0, "other"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(together, fan, left, stuck, other)
                await trio.sleep(20)
                stuck.branch.scope.cancel()
            assert CONTENT.startswith(left.heard) and left.count >= 2 * MIB
            assert other.heard == CONTENT


class Held(Receiver):
    """Takes nothing from when ``held`` is set until it ``goes`` on."""

    held: threading.Event
    goes: trio.Event

    async def _digest(self, count: int) -> None:
        if self.held.is_set():
            await self.goes.wait()


@trio_test
async def test_what_a_thread_has_stays_as_it_is_when_it_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if that happens while nothing is read, since the pipes are full."""
    content, heard, late = CONTENT * 2, bytearray(), bytearray()
    hangs, come_on, over = threading.Event(), threading.Event(), threading.Event()
    begins: list[int] = []
    find_room, found_early = Window.room, Sharing.early

    def room(self: Window, tail: int, limit: int) -> memoryview:
        if tail == self.head:
            # It is where what comes next will be, too, once nobody is behind.
            begins.append(tail)
        return find_room(self, tail, limit)

    def early(self: Sharing, little: int) -> bool:
        while stuck.branch.feed is not None and not hangs.is_set():
            stuck.branch.push(fan._window, 1)
            if not stuck.branch.feed.busy:
                break
            os.sched_yield()
        return found_early(self, little)

    def refused(source: int, null: int, count: int) -> int:
        raise Unsupported

    def hang(piece: memoryview) -> None:
        if len(heard) > 3 * MIB and len(heard) in begins:
            hangs.set()
            come_on.wait()
            late.extend(piece)
            over.set()
        heard.extend(piece)

    monkeypatch.setattr(Window, "room", room)
    # Where the thread is quick, which is its own matter.
    monkeypatch.setattr(Sharing, "early", early)
    # All comes by the window.
    monkeypatch.setattr(syscalls, "forget", refused)
    async with client(content, size=MIB) as payload:
        with Fan(payload, patience=1e9) as fan:
            stuck = Direct(fan.branch(0, "stuck"), work=hang)
            node = Held(fan.branch(0, "node"), rest=1)
            node.held, node.goes = hangs, trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_all, fan, stuck, node)
                assert await trio.to_thread.run_sync(hangs.wait, 30)
                await trio.testing.wait_all_tasks_blocked(0.1)
                stuck.branch.scope.cancel()
                while stuck.branch.alive:
                    await trio.sleep(0.01)
                node.goes.set()
                await trio.testing.wait_all_tasks_blocked(0.1)
                come_on.set()
                assert await trio.to_thread.run_sync(over.wait, 30)
            assert node.heard == content
    assert late and content.startswith(heard)


# -- how it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [1, 5 * MIB])
@clock_test
async def test_a_client_that_ends_early_ends_early_for_each(
    calls: Calls, missing: int
) -> None:
    come = len(CONTENT) + len(BEHIND)
    async with client(length=come + missing) as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            nodes = [Receiver(fan.branch(skip, "node")) for skip in (0, 0, 10)]
            failure = await together(fan, *nodes)
        assert isinstance(failure, PayloadShort)
        assert payload.remaining == missing
    assert all(isinstance(node.failure, PayloadShort) for node in nodes)
    # What came is kept by each, for the next attempt.
    whole = CONTENT + BEHIND
    assert [node.heard for node in nodes] == [whole, whole, whole[10:]]


@pytest.mark.parametrize("turns", range(1, 40, 3))
@trio_test
async def test_what_is_unread_is_known_when_it_is_cancelled(turns: int) -> None:
    """The connection is drained of that much, and used again."""
    async with client() as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            nodes = [Receiver(fan.branch(0, "node")) for _ in range(2)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(together, fan, *nodes)
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        rest = bytearray()
        while payload.remaining:
            scratch = memoryview(bytearray(MIB))
            await moving.fill(payload, scratch, rest.extend)
        assert CONTENT.endswith(rest)
        assert await behind(payload) == BEHIND
    for node in nodes:
        assert CONTENT.startswith(node.heard)
        assert len(node.heard) <= len(CONTENT) - len(rest)


@clock_test
async def test_nothing_stays_open() -> None:
    before = descriptors()
    async with client() as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            nodes = [Receiver(fan.branch(0, "node")) for _ in range(2)]
            assert await together(fan, *nodes) is None
            during = descriptors()
    assert descriptors() == before
    assert os.devnull not in set(during) - set(before)


# -- where it is not possible ------------------------------------------------------------------


async def all_of_it() -> None:
    """Two nodes, one of them resumed, and one that stores here, get what they ought to."""
    async with client() as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            nodes = [Receiver(fan.branch(skip, "node")) for skip in (0, 77)]
            assert await together(fan, *nodes) is None
        assert await behind(payload) == BEHIND
    assert [node.heard for node in nodes] == [CONTENT, CONTENT[77:]]
    assert {node.verdict for node in nodes} == {Validity.VALID}


@clock_test
async def test_without_zero_copy_nothing_is_shared(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zerocopy, "allowed", False)
    await all_of_it()
    assert calls.tees == calls.forgotten == 0
    assert calls.read == len(CONTENT)


@clock_test
async def test_what_is_small_is_copied(calls: Calls) -> None:
    async with client(CONTENT[:SMALL]) as payload:
        with Fan(payload, patience=PATIENCE) as fan:
            node = Receiver(fan.branch(0, "node"))
            assert await together(fan, node) is None
    assert node.heard == CONTENT[:SMALL]
    assert calls.tees == 0


@pytest.mark.parametrize("error", [Unsupported(), OSError(1, "not permitted")])
@pytest.mark.parametrize("after", [0, 1, 2, 3, 7])
@clock_test
async def test_a_kernel_that_refuses_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, error: Exception, after: int
) -> None:
    """Also after some nodes, and not others, were given what comes next."""
    asked: list[int] = []
    tee = syscalls.tee

    def refused(source: int, out: int, count: int) -> int:
        asked.append(out)
        if len(asked) > after:
            raise error
        return tee(source, out, count)

    monkeypatch.setattr(syscalls, "tee", refused)
    await all_of_it()
    assert len(asked) == after + 1


@pytest.mark.parametrize("error", [Unsupported(), OSError(2, "no such file")])
@clock_test
async def test_what_cannot_be_forgotten_is_read(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused(source: int, null: int, count: int) -> int:
        raise error

    monkeypatch.setattr(syscalls, "forget", refused)
    await all_of_it()
    assert calls.read == len(CONTENT)
    assert calls.teed > 0


@pytest.mark.parametrize("piece", [1, 999, PAGE, 70_001])
@clock_test
async def test_calls_that_do_less_than_they_were_asked_for(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    """Each by another measure, so that no two agree."""
    tee, forget, read_now = syscalls.tee, syscalls.forget, syscalls.read_now
    size = max(piece, 999)

    def less_teed(source: int, out: int, count: int) -> int:
        return tee(source, out, min(count, size + out))

    def less_forgotten(source: int, null: int, count: int) -> int:
        return forget(source, null, min(count, piece))

    def less_read(fd: int, target: memoryview) -> int:
        return read_now(fd, target[: size // 2])

    monkeypatch.setattr(syscalls, "tee", less_teed)
    monkeypatch.setattr(syscalls, "forget", less_forgotten)
    monkeypatch.setattr(syscalls, "read_now", less_read)
    await all_of_it()
    assert calls.teed > 0 and calls.forgotten > 0


@clock_test
async def test_a_source_that_is_no_pipe_is_never_asked(calls: Calls) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(syscalls.write_all, theirs.fileno(), CONTENT)
            payload = Payload(len(CONTENT), ours.fileno())
            with Fan(payload, patience=PATIENCE) as fan:
                node = Receiver(fan.branch(0, "node"))
                assert await together(fan, node) is None
    assert node.heard == CONTENT
    assert calls.tees == 0
