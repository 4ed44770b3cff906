"""Receivers that take their bytes from memory: each in a thread, with one digest for all."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable

import attrs
import pytest
import trio
import trio.testing

from annexshell.errors import PayloadShort
from annexshell.model.payload import Payload, Validity
from annexshell.transport import fanout
from annexshell.transport.branch import Branch
from annexshell.transport.fanout import NARROW, WINDOW, Fan
from annexshell.transport.feeding import Take
from tests.support.async_tests import trio_test
from tests.unit.transport.test_fanout import Origin, Receiver, fan_of, together

MIB = 1 << 20
CONTENT = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(8 * MIB // 32))
CONTENT += b"the end"
Shared = tuple[list[bytes], Take]


def nothing(piece: memoryview) -> None:
    """What costs nobody any time."""


@attrs.define
class Direct:
    """Hears all it gets; ``work`` sees each piece first. ``digests`` under that name."""

    branch: Branch
    work: Callable[[memoryview], object] = nothing
    digests: str = ""
    heard: bytearray = attrs.field(factory=bytearray)
    digest: list[bytes] = attrs.field(factory=list)
    verdict: Validity | None = None
    failure: Exception | None = None

    async def run(self) -> None:
        direct = self.branch.payload.direct
        assert direct is not None
        try:
            with self.branch.scope:
                if self.digests:
                    self.digest = direct.once(self.digests, shared)
                await direct.each(self._take)
                self.verdict = await self.branch.payload.verdict()
        except (PayloadShort, OSError) as error:
            self.failure = error
        finally:
            self.branch.close()

    def _take(self, piece: memoryview) -> None:
        self.work(piece)
        self.heard += piece


def shared() -> Shared:
    pieces: list[bytes] = []
    return pieces, lambda piece: pieces.append(bytes(piece))


async def run(fan: Fan, *receivers: Direct | Receiver) -> Exception | None:
    return await together(fan, *receivers)  # type: ignore[arg-type]  # as they run


@pytest.mark.thorough
@pytest.mark.parametrize("length", [0, 5, 70_000, len(CONTENT)])
@trio_test
async def test_all_hear_all_of_it_and_one_digest_hears_it_once(length: int) -> None:
    origin = Origin(CONTENT[:length])
    with fan_of(origin) as fan:
        direct = [Direct(fan.branch(0, "here"), digests="one") for _ in range(3)]
        piped = Receiver(fan.branch(0, "there"))
        assert await run(fan, *direct, piped) is None
    assert [bytes(one.heard) for one in direct] == [CONTENT[:length]] * 3
    assert piped.heard == CONTENT[:length]
    assert {one.verdict for one in direct} == {piped.verdict} == {Validity.VALID}
    assert b"".join(direct[0].digest) == CONTENT[:length]
    assert direct[0].digest is direct[1].digest is direct[2].digest


@trio_test
async def test_no_pipe_is_made_for_them() -> None:
    before = len(os.listdir("/proc/self/fd"))
    during: list[int] = []
    origin = Origin(CONTENT)
    with fan_of(origin) as fan:
        one = Direct(fan.branch(0, "here"))
        one.work = lambda piece: during.append(len(os.listdir("/proc/self/fd")))
        await run(fan, one)
    assert set(during) == {before + 1}


@trio_test
async def test_who_begins_elsewhere_or_asks_for_another_digest_shares_nothing() -> None:
    origin = Origin(CONTENT)
    with fan_of(origin) as fan:
        first = Direct(fan.branch(0, "first"), digests="one")
        resumed = Direct(fan.branch(100, "resumed"), digests="one")
        other = Direct(fan.branch(0, "other"), digests="two")
        await run(fan, first, resumed, other)
    assert b"".join(first.digest) == b"".join(other.digest) == CONTENT
    assert b"".join(resumed.digest) == CONTENT[100:] == resumed.heard
    assert first.digest is not other.digest


@trio_test
async def test_a_digest_goes_on_without_whom_it_was_made_for() -> None:
    origin = Origin(CONTENT)

    def full(piece: memoryview) -> None:
        raise OSError("no space left")

    with fan_of(origin) as fan:
        first = Direct(fan.branch(0, "full"), digests="one", work=full)
        second = Direct(fan.branch(0, "good"), digests="one")
        await run(fan, first, second)
    assert isinstance(first.failure, OSError) and first.verdict is None
    assert second.verdict is Validity.VALID
    assert second.heard == b"".join(second.digest) == CONTENT


@trio_test
async def test_a_digest_that_nobody_waited_for_is_made_anew() -> None:
    """It has missed bytes by then."""
    origin = Origin(CONTENT)
    with fan_of(origin) as fan:
        gone, late = fan.branch(0, "gone"), fan.branch(0, "late")
        assert gone.payload.direct is not None and late.payload.direct is not None
        first = gone.payload.direct.once("one", shared)
        gone.close()
        second = Direct(late, digests="one")
        await run(fan, second)
    assert second.digest is not first
    assert b"".join(second.digest) == CONTENT


@trio_test
async def test_a_digest_that_fails_fails_nobody() -> None:
    origin = Origin(CONTENT)

    def broken() -> Shared:
        def take(piece: memoryview) -> None:
            raise MemoryError

        return [], take

    with fan_of(origin) as fan:
        branch = fan.branch(0, "here")
        assert branch.payload.direct is not None
        branch.payload.direct.once("one", broken)
        one = Direct(branch)
        await run(fan, one)
    assert one.verdict is Validity.VALID
    assert one.heard == CONTENT


@trio_test
async def test_a_verdict_waits_for_the_digest() -> None:
    origin = Origin(CONTENT[:MIB])
    goes_on, asked = threading.Event(), threading.Event()
    found: list[bytes] = []

    def slow() -> Shared:
        def take(piece: memoryview) -> None:
            goes_on.wait()
            assert not asked.is_set()
            found.append(bytes(piece))

        return found, take

    async def verdict() -> Validity:
        asked.set()
        return Validity.VALID

    origin.payload.verdict = verdict
    with fan_of(origin) as fan:
        branch = fan.branch(0, "here")
        assert branch.payload.direct is not None
        branch.payload.direct.once("one", slow)
        one = Direct(branch)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            nursery.start_soon(fan.run)
            while len(one.heard) < MIB:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            goes_on.set()
    assert one.verdict is Validity.VALID
    assert b"".join(found) == CONTENT[:MIB]


@trio_test
async def test_the_window_is_narrow_until_there_are_pipes() -> None:
    assert NARROW < WINDOW
    content = CONTENT * 3
    origin = Origin(content)
    fast: list[int] = []
    goes_on = threading.Event()
    with fan_of(origin) as fan:
        first = Direct(fan.branch(0, "first"))
        first.work = lambda piece: fast.append(len(piece))
        second = Direct(fan.branch(0, "second"), work=lambda piece: goes_on.wait())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, fan, first, second)
            while len(first.heard) < NARROW:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert sum(fast) == NARROW
            goes_on.set()
    assert first.heard == second.heard == content


@pytest.mark.thorough
@trio_test
async def test_one_that_hangs_is_left_and_harms_nobody() -> None:
    """What it was given is as it was, when it goes on at last."""
    content = CONTENT * 3
    origin = Origin(content)
    goes_on, over = threading.Event(), threading.Event()
    late: list[bytes] = []

    def hang(piece: memoryview) -> None:
        goes_on.wait()
        late.append(bytes(piece))
        over.set()

    with fan_of(origin) as fan:
        stuck = Direct(fan.branch(0, "stuck", 0.1), work=hang)
        others = [Direct(fan.branch(0, "good"), digests="one") for _ in range(2)]
        piped = Receiver(fan.branch(0, "there"))
        await run(fan, stuck, *others, piped)
        assert stuck.branch.given_up and stuck.verdict is None
    goes_on.set()
    assert over.wait(60)
    assert content.startswith(late[0]) and len(late) == 1
    assert {one.verdict for one in others} == {piped.verdict} == {Validity.VALID}
    assert [bytes(one.heard) for one in others] == [content] * 2
    assert piped.heard == content
    assert b"".join(others[0].digest) == content


@trio_test
async def test_a_source_that_ends_early_ends_early_for_each() -> None:
    origin = Origin(CONTENT)
    origin.payload.length = origin.payload.remaining = len(CONTENT) + 7
    with fan_of(origin) as fan:
        receivers = [Direct(fan.branch(skip, "here")) for skip in (0, 10)]
        failure = await run(fan, *receivers)
    assert isinstance(failure, PayloadShort)
    assert all(isinstance(one.failure, PayloadShort) for one in receivers)
    # What came is kept by each, for the next attempt.
    assert [bytes(one.heard) for one in receivers] == [CONTENT, CONTENT[10:]]


@trio_test
async def test_little_that_came_long_ago_is_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that is killed has lost only what came last."""
    monkeypatch.setattr(fanout, "_RESTS", 0.0)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    async def ready() -> None:
        await trio.lowlevel.wait_readable(reading)

    with Fan(Payload(2 * MIB, reading, ready=ready), patience=60) as fan:
        one = Direct(fan.branch(0, "here"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, fan, one)
            os.write(writing, CONTENT[:500])
            while len(one.heard) < 500:
                await trio.lowlevel.checkpoint()
            os.close(writing)
    assert one.heard == CONTENT[:500]
    assert isinstance(one.failure, PayloadShort)
    os.close(reading)


@trio_test
async def test_a_cancelled_one_ends_what_it_has_begun() -> None:
    origin = Origin(CONTENT)
    begun, goes_on = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()

    def work(piece: memoryview) -> None:
        token.run_sync_soon(begun.set)
        goes_on.wait()

    async def later() -> None:
        # Not before it was told: the thread would begin another.
        await trio.testing.wait_all_tasks_blocked()
        goes_on.set()

    with fan_of(origin) as fan:
        one = Direct(fan.branch(0, "here"), work=work)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, fan, one)
            await begun.wait()
            nursery.cancel_scope.cancel()
            trio.lowlevel.spawn_system_task(later)
    assert one.verdict is None
    assert CONTENT.startswith(one.heard) and 0 < len(one.heard) <= MIB


@trio_test
async def test_one_that_begins_after_the_end_is_told() -> None:
    origin = Origin(CONTENT)
    with fan_of(origin) as fan:
        late = Direct(fan.branch(0, "late"), digests="one")
        fan.close()
        await late.run()
    assert isinstance(late.failure, PayloadShort)
    assert late.heard == b"" == b"".join(late.digest)
