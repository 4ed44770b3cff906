"""One payload for several receivers: who gets what, who waits for whom, and who may not."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest
import trio

from annexshell.errors import AnnexshellError, PayloadShort
from annexshell.model.payload import Payload, Validity
from annexshell.store import AlreadyHave, Intake
from annexshell.transport import moving
from annexshell.transport.branch import Branch
from annexshell.transport.fanout import WINDOW, Fan
from annexshell.transport.link import Link
from tests.support.async_tests import clock_test
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import peer_of

MIB = 1 << 20
PATIENCE = 60.0
CONTENT = bytes(i * 31 % 253 for i in range(300_000))


@attrs.define
class Origin:
    """The source of a Fan: a file, of ``content`` or sparse, that counts its verdicts."""

    content: bytes = b""
    size: int = 0
    answer: Validity | Exception = Validity.VALID
    asked: int = 0
    payload: Payload = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        fd = os.memfd_create("content")
        os.write(fd, self.content)
        os.truncate(fd, max(self.size, len(self.content)))
        length = max(self.size, len(self.content))
        self.payload = Payload(length, fd, position=0, verdict=self.verdict)

    async def verdict(self) -> Validity:
        self.asked += 1
        await trio.sleep(1)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        os.close(self.payload.descriptor)


def descriptors() -> list[str]:
    gc.collect()
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return sorted(found)


@contextmanager
def no_leak() -> Iterator[None]:
    """As many descriptors are open afterwards as before."""
    before = descriptors()
    yield
    assert descriptors() == before


@attrs.define
class Receiver:
    """Digests a MiB in ``rest`` seconds, ``hidden`` bytes ahead; leaves after ``enough``."""

    branch: Branch
    rest: float = 0
    piece: int = MIB
    enough: float = float("inf")
    begin: float = 0
    keep: bool = True
    hidden: int = 0
    level: float = 0
    looked: float = 0
    heard: bytearray = attrs.field(factory=bytearray)
    count: int = 0
    verdict: Validity | None = None
    failure: Exception | None = None
    ended: float = 0
    times: list[float] = attrs.field(factory=list)

    async def run(self) -> None:
        try:
            with self.branch.scope:
                await trio.sleep(self.begin)
                await self._take(self.branch.payload)
        except AnnexshellError as error:
            self.failure = error
        finally:
            self.ended = trio.current_time()
            self.branch.close()

    async def _take(self, payload: Payload) -> None:
        target = memoryview(bytearray(self.piece))
        while payload.remaining:
            if self.count >= self.enough:
                return
            count = await moving.fill(payload, target)
            self.count += count
            if self.keep:
                self.heard += target[:count]
            self.times.append(trio.current_time())
            if self.rest:
                await self._digest(count)
        self.verdict = await payload.verdict()

    async def _digest(self, count: int) -> None:
        """As a link with a buffer does: it takes more while it still has some."""
        speed, now = MIB / self.rest, trio.current_time()
        self.level = max(self.level - (now - self.looked) * speed, 0) + count
        self.looked = now
        if self.level > self.hidden:
            await trio.sleep((self.level - self.hidden) / speed)


async def together(fan: Fan, *receivers: Receiver) -> Exception | None:
    """Run the fan beside its receivers; its failure, which cancels none of them."""
    failure = None
    async with trio.open_nursery() as nursery:
        for receiver in receivers:
            nursery.start_soon(receiver.run)
        try:
            await fan.run()
        except AnnexshellError as error:
            failure = error
    return failure


@contextmanager
def fan_of(
    origin: Origin, *, window: int = WINDOW, patience: float = PATIENCE
) -> Iterator[Fan]:
    with (
        no_leak_of(origin),
        Fan(origin.payload, window=window, patience=patience) as fan,
    ):
        yield fan


@contextmanager
def no_leak_of(origin: Origin) -> Iterator[None]:
    with no_leak():
        yield
    origin.close()


# -- who gets what ----------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("window", [999, 70_000, WINDOW])
@clock_test
async def test_each_gets_its_bytes_and_the_one_verdict(window: int) -> None:
    origin = Origin(CONTENT)
    skips = [0, 0, 5000, len(CONTENT) - 1, len(CONTENT), len(CONTENT) + 9]
    with fan_of(origin, window=window) as fan:
        receivers = [Receiver(fan.branch(skip, str(skip))) for skip in skips]
        assert await together(fan, *receivers) is None
    for skip, receiver in zip(skips, receivers):
        assert receiver.heard == CONTENT[skip:]
        assert receiver.verdict is Validity.VALID
    assert origin.asked == 1
    assert origin.payload.remaining == 0


@clock_test
async def test_content_that_came_with_the_message_is_handed_out_too() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    source = Link(reading, writing, "the client")
    payload = Payload(len(CONTENT), source.reading, prefix=CONTENT[:100])
    with Fan(payload, patience=PATIENCE) as fan:
        receivers = [Receiver(fan.branch(skip, "node")) for skip in (0, 50, 1000)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.write, CONTENT[100:] + b"VALID\n")
            await together(fan, *receivers)
    assert [bytes(one.heard) for one in receivers] == [
        CONTENT,
        CONTENT[50:],
        CONTENT[1000:],
    ]
    assert await source.read(100) == b"VALID\n"
    source.close()


@clock_test
async def test_nothing_at_all_still_has_a_verdict() -> None:
    origin = Origin(answer=Validity.INVALID)
    with fan_of(origin) as fan:
        receivers = [Receiver(fan.branch(0, "node")) for _ in range(3)]
        await together(fan, *receivers)
    assert [one.verdict for one in receivers] == [Validity.INVALID] * 3
    assert origin.asked == 1


@clock_test
async def test_a_verdict_that_cannot_be_had_is_raised_to_all() -> None:
    origin = Origin(CONTENT, answer=PayloadShort(name="the lock", missing=0))
    with fan_of(origin) as fan:
        receivers = [Receiver(fan.branch(skip, "node")) for skip in (0, 5, 300_000)]
        assert await together(fan, *receivers) is None
    assert [one.failure for one in receivers] == [origin.answer] * 3
    assert origin.asked == 1


@clock_test
async def test_no_verdict_before_all_have_their_bytes() -> None:
    """Who is ready first waits for those that still get theirs."""
    origin = Origin(size=8 * MIB)
    with fan_of(origin) as fan:
        fast = Receiver(fan.branch(0, "fast"), keep=False)
        slow = Receiver(fan.branch(0, "slow"), rest=3, keep=False)
        nothing = Receiver(fan.branch(8 * MIB, "whole already"))
        await together(fan, fast, slow, nothing)
    assert {one.verdict for one in (fast, slow, nothing)} == {Validity.VALID}
    assert slow.times[-2] < min(fast.ended, nothing.ended)


@clock_test
async def test_who_is_cancelled_while_it_asks_takes_the_verdict_from_nobody() -> None:
    origin = Origin(CONTENT)
    with fan_of(origin) as fan:
        first, second = (Receiver(fan.branch(0, name)) for name in ("a", "b"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.run)
            nursery.start_soon(second.run)
            nursery.start_soon(fan.run)
            await trio.sleep(0.5)
            first.branch.scope.cancel()
    assert first.verdict is None
    assert second.verdict is Validity.VALID
    assert origin.asked == 1


@clock_test
async def test_who_left_early_is_never_told_that_it_has_all() -> None:
    origin = Origin(CONTENT)
    with fan_of(origin) as fan:
        gone, other = Receiver(fan.branch(0, "gone")), Receiver(fan.branch(0, "other"))
        gone.branch.close()
        await together(fan, other)
        with pytest.raises(PayloadShort):
            await gone.branch.payload.verdict()
    assert other.verdict is Validity.VALID


# -- what breaks ------------------------------------------------------------------------------


@clock_test
async def test_a_source_that_ends_early_ends_early_for_each() -> None:
    origin = Origin(CONTENT)
    origin.payload.length = origin.payload.remaining = len(CONTENT) + 7
    with fan_of(origin) as fan:
        receivers = [Receiver(fan.branch(skip, "node")) for skip in (0, 10, 400_000)]
        failure = await together(fan, *receivers)
    assert isinstance(failure, PayloadShort)
    assert all(isinstance(one.failure, PayloadShort) for one in receivers)
    # What came is kept by each, for the next attempt.
    assert [bytes(one.heard) for one in receivers] == [CONTENT, CONTENT[10:], b""]
    assert origin.asked == 0
    assert origin.payload.remaining == 7


@clock_test
async def test_what_came_before_the_end_is_handed_out_to_the_slow_ones() -> None:
    origin = Origin(bytes(8 * MIB))
    origin.payload.length = origin.payload.remaining = 9 * MIB
    with fan_of(origin, window=16 * MIB) as fan:
        receivers = [Receiver(fan.branch(0, "node"), rest=rest) for rest in (0, 1, 2)]
        failure = await together(fan, *receivers)
    assert isinstance(failure, PayloadShort)
    assert [one.count for one in receivers] == [8 * MIB] * 3


@clock_test
async def test_after_the_end_nobody_is_waited_for_without_limit() -> None:
    origin = Origin(bytes(8 * MIB))
    origin.payload.length = origin.payload.remaining = 9 * MIB
    with fan_of(origin, window=16 * MIB) as fan:
        stuck = Receiver(fan.branch(0, "node"), rest=1000, piece=1000)
        failure = await together(fan, stuck)
    assert isinstance(failure, PayloadShort)
    assert 0 < stuck.count < 8 * MIB


@clock_test
async def test_a_source_that_stalls_ends_early_for_each() -> None:
    reading, writing = os.pipe()
    source = Link(reading, writing, "the client")
    source.stall = 100
    payload = Payload(len(CONTENT), source.reading, ready=source.payload_ready)
    with Fan(payload, patience=PATIENCE) as fan:
        receivers = [Receiver(fan.branch(0, "node")) for _ in range(3)]
        os.write(writing, CONTENT[:5000])
        failure = await together(fan, *receivers)
    assert "silent for 100s" in str(failure)
    assert [bytes(one.heard) for one in receivers] == [CONTENT[:5000]] * 3
    source.close()


@clock_test
async def test_a_source_that_is_replaced_is_noticed_by_nobody() -> None:
    origin, other = Origin(CONTENT[:70_000]), Origin(CONTENT)

    async def substitute(why: PayloadShort) -> bool:
        payload.descriptor = other.payload.descriptor
        return True

    payload = origin.payload
    payload.length = payload.remaining = len(CONTENT)
    payload.substitute, first = substitute, payload.descriptor
    with Fan(payload, patience=PATIENCE) as fan:
        receivers = [Receiver(fan.branch(skip, "node")) for skip in (0, 100_000)]
        assert await together(fan, *receivers) is None
    assert [bytes(one.heard) for one in receivers] == [CONTENT, CONTENT[100_000:]]
    other.close()
    os.close(first)


@clock_test
async def test_when_all_have_left_the_rest_is_unread() -> None:
    """The client's next message is found behind what ``remaining`` tells."""
    origin = Origin(bytes(9 * MIB) + CONTENT)
    with fan_of(origin, window=2 * MIB) as fan:
        receivers = [
            Receiver(fan.branch(0, "node"), enough=enough, keep=False)
            for enough in (1, MIB, 3 * MIB)
        ]
        assert await together(fan, *receivers) is None
        payload = origin.payload
        assert 0 < payload.remaining <= payload.length - 3 * MIB
        assert payload.position == payload.length - payload.remaining
    assert origin.asked == 0


@clock_test
async def test_when_all_have_left_a_silent_source_is_not_waited_for() -> None:
    reading, writing = os.pipe()
    source = Link(reading, writing, "the client")
    payload = Payload(len(CONTENT), source.reading, ready=source.payload_ready)
    os.write(writing, CONTENT[:5000])
    with Fan(payload, patience=PATIENCE) as fan:
        receivers = [Receiver(fan.branch(0, "node"), enough=n) for n in (1, 10)]
        for receiver in receivers:
            receiver.piece = 10
        await together(fan, *receivers)
    assert payload.remaining == len(CONTENT) - 5000
    source.close()


@clock_test
async def test_one_that_leaves_is_written_to_no_more() -> None:
    origin = Origin(size=64 * MIB)
    with fan_of(origin) as fan:
        gone = Receiver(fan.branch(0, "gone"), enough=MIB, keep=False)
        other = Receiver(fan.branch(0, "other"), keep=False)
        await together(fan, gone, other)
    assert (gone.verdict, other.verdict) == (None, Validity.VALID)
    assert (gone.branch.given_up, other.branch.given_up) == ("", "")
    assert other.count == 64 * MIB


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [0.0, 3.0, 64.5])
@clock_test
async def test_a_cancelled_fan_leaves_nothing_behind(seconds: float) -> None:
    origin = Origin(size=64 * MIB)
    with no_leak_of(origin):
        with trio.move_on_after(seconds):
            with Fan(origin.payload, patience=PATIENCE) as fan:
                receivers = [
                    Receiver(fan.branch(0, "node"), rest=1, keep=False)
                    for _ in range(3)
                ]
                await together(fan, *receivers)
        assert [one.verdict for one in receivers] == [None] * 3


@clock_test
async def test_a_fan_that_never_ran_leaves_nothing_behind() -> None:
    origin = Origin(CONTENT)
    with no_leak_of(origin):
        fan = Fan(origin.payload, patience=PATIENCE)
        branches = [fan.branch(0, "node") for _ in range(3)]
        branches[1].close()
        fan.close()
        fan.close()
        branches[0].close()
        with pytest.raises(PayloadShort):
            await branches[2].payload.verdict()


@clock_test
async def test_a_branch_that_left_before_the_start_does_not_count() -> None:
    origin = Origin(CONTENT)
    with fan_of(origin) as fan:
        fan.branch(0, "changed its mind").close()
        receiver = Receiver(fan.branch(0, "node"))
        await together(fan, receiver)
    assert receiver.heard == CONTENT


@clock_test
async def test_a_branch_cannot_begin_before_its_source() -> None:
    origin = Origin(CONTENT)
    with fan_of(origin) as fan, pytest.raises(ValueError):
        fan.branch(-1, "node")


# -- who waits for whom -----------------------------------------------------------------------


@clock_test
async def test_nobody_gets_further_ahead_than_the_window() -> None:
    """Memory is bounded: what the slowest has not taken yet is all that is kept."""
    origin = Origin(size=64 * MIB)
    with fan_of(origin, window=4 * MIB, patience=1e9) as fan:
        stuck = Receiver(fan.branch(0, "stuck"), begin=1000, keep=False)
        fast = Receiver(fan.branch(0, "fast"), keep=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(together, fan, stuck, fast)
            await trio.sleep(500)
            # The window, and at most a pipe beside it.
            assert 3 * MIB <= fast.count <= 5 * MIB
    assert stuck.count == fast.count == 64 * MIB


async def race(*rests: float, size: int = 400 * MIB) -> list[Receiver]:
    """Receivers that rest so many seconds after each MiB, on one fan."""
    origin = Origin(size=size)
    with fan_of(origin) as fan:
        receivers = [Receiver(fan.branch(0, str(r)), r, keep=False) for r in rests]
        await together(fan, *receivers)
    for one in receivers:
        assert (one.verdict is None) == bool(one.branch.given_up)
        assert one.verdict is None or one.count == size
    return receivers


@pytest.mark.thorough
@clock_test
async def test_one_at_a_fifth_of_the_speed_sets_the_pace() -> None:
    one, other = await race(1, 5)
    assert one.verdict is other.verdict is Validity.VALID
    assert one.times[-1] > 380 * 5


@pytest.mark.thorough
@clock_test
async def test_one_at_half_the_speed_is_kept_also_where_buffers_hide_that() -> None:
    """ssh and the network take some MiB at once: nobody seems to be busy with those."""
    origin = Origin(size=400 * MIB)
    with fan_of(origin) as fan:
        receivers = [
            Receiver(fan.branch(0, str(r)), r, keep=False, hidden=4 * MIB)
            for r in (1, 2)
        ]
        await together(fan, *receivers)
    assert [one.verdict for one in receivers] == [Validity.VALID] * 2


@pytest.mark.thorough
@clock_test
async def test_one_at_a_hundredth_of_the_speed_is_given_up() -> None:
    one, other, slow = await race(0.1, 0.2, 10)
    assert one.verdict is other.verdict is Validity.VALID
    assert slow.branch.given_up == "it kept the others waiting for more than 1m"
    assert PATIENCE < slow.ended < 4 * PATIENCE
    # Whoever is given up no longer sets the pace.
    assert one.ended < slow.ended + 400 * 0.2 + 2


@pytest.mark.thorough
@clock_test
async def test_several_that_are_slow_together_are_given_up_together() -> None:
    one, *slow = await race(0.1, 10, 20, 30)
    assert one.verdict is Validity.VALID
    assert all(each.branch.given_up for each in slow)


@pytest.mark.thorough
@pytest.mark.parametrize("count", [1, 2, 5])
@clock_test
async def test_those_that_are_slow_alike_are_all_kept(count: int) -> None:
    for one in await race(*[100] * count, size=64 * MIB):
        assert one.verdict is Validity.VALID


@clock_test
async def test_the_last_one_is_never_given_up() -> None:
    """It is the slowest, and far too slow, but those that waited for it have gone."""
    origin = Origin(size=64 * MIB)
    with fan_of(origin) as fan:
        slow = Receiver(fan.branch(0, "slow"), rest=100, keep=False)
        fast = Receiver(fan.branch(0, "fast"), enough=8 * MIB, keep=False)
        await together(fan, slow, fast)
    assert slow.verdict is Validity.VALID


@clock_test
async def test_who_has_waited_for_no_byte_yet_condemns_nobody() -> None:
    """How fast a node is that skips what it has, nobody knows."""
    origin = Origin(size=64 * MIB)
    with fan_of(origin) as fan:
        slow = Receiver(fan.branch(0, "slow"), rest=100, keep=False)
        whole = Receiver(fan.branch(64 * MIB, "has it all"), keep=False)
        late = Receiver(fan.branch(63 * MIB, "has most of it"), keep=False)
        await together(fan, slow, whole, late)
    assert slow.verdict is whole.verdict is late.verdict is Validity.VALID


@pytest.mark.thorough
@clock_test
async def test_who_hashes_first_may_be_given_more_patience() -> None:
    for patience, kept in ((None, False), (1000.0, True)):
        origin = Origin(size=64 * MIB)
        with fan_of(origin) as fan:
            branch = fan.branch(0, "resumed", patience)
            resumed = Receiver(branch, begin=500, keep=False)
            other = Receiver(fan.branch(0, "other"), keep=False)
            await together(fan, resumed, other)
        assert other.verdict is Validity.VALID
        assert (resumed.verdict is Validity.VALID) == kept


@clock_test
async def test_the_end_of_a_small_payload_is_waited_for_no_longer() -> None:
    """All of it fits into the window: what waits is the verdict."""
    origin = Origin(size=8 * MIB)
    with fan_of(origin) as fan:
        stuck = Receiver(fan.branch(0, "stuck"), begin=1e6, keep=False)
        other = Receiver(fan.branch(0, "other"), keep=False)
        await together(fan, stuck, other)
    assert stuck.branch.given_up
    assert other.verdict is Validity.VALID
    assert other.ended == pytest.approx(PATIENCE + 1)


@pytest.mark.thorough
@clock_test
async def test_one_that_was_slow_for_a_while_is_kept() -> None:
    """More than its patience in all, but little of the time."""
    origin = Origin(size=400 * MIB)
    with fan_of(origin) as fan:
        hiccup = Receiver(fan.branch(0, "hiccup"), begin=50, rest=1, keep=False)
        other = Receiver(fan.branch(0, "other"), rest=0.5, keep=False)
        await together(fan, hiccup, other)
    assert hiccup.verdict is other.verdict is Validity.VALID


@clock_test
async def test_a_receiver_stuck_at_its_link_is_freed() -> None:
    """Its own task ends, though its node takes nothing and its link allows that."""
    origin = Origin(size=64 * MIB)
    with fan_of(origin) as fan:
        into, out = os.pipe()
        link = Link(into, out, "a node that reads nothing")
        branch = fan.branch(0, "stuck")
        receiver = Receiver(fan.branch(0, "other"), keep=False)

        async def pass_on() -> None:
            with branch.scope:
                await moving.send(branch.payload, link)
            branch.close()
            link.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_on)
            await together(fan, receiver)
    assert branch.given_up and branch.scope.cancelled_caught
    assert receiver.verdict is Validity.VALID


# -- with receivers of ours --------------------------------------------------------------------


@clock_test
async def test_stores_and_nodes_receive_from_it_as_from_a_client() -> None:
    content = CONTENT * 4
    whole, begun, local = MemoryStore(), MemoryStore(), MemoryStore()
    key = key_of(content)
    begun.partial[key] = content[:123_456]
    origin = Origin(content)
    async with (
        peer_of(whole, pipes=True) as (one, _),
        peer_of(begun) as (other, _),
        one.put(key, b"") as to_one,
        other.put(key, b"") as to_other,
        local.put(key, b"") as to_local,
    ):
        outcomes = []

        async def accept(intake: Intake, branch: Branch) -> None:
            with branch.scope:
                outcomes.append(await intake.accept(branch.payload))
            branch.close()

        with fan_of(origin) as fan:
            async with trio.open_nursery() as nursery:
                for intake in (to_one, to_other, to_local):
                    assert not isinstance(intake, AlreadyHave)
                    branch = fan.branch(intake.offset, "node")
                    nursery.start_soon(accept, intake, branch)
                await fan.run()
    assert [outcome.ok for outcome in outcomes] == [True] * 3
    assert [store.contents for store in (whole, begun, local)] == [{key: content}] * 3
    assert origin.asked == 1
