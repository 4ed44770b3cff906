"""Several receivers of one payload that come, rest, leave and break as they like.

Pipes and windows are small, so that everybody waits for everybody, and the kernel lets
pipes share less than they could, or none. Some take their bytes
from memory, in threads, which the clock does not wait for: they may be given up. Whatever happens: each
has heard the source's bytes from its own first one on, in order and once; only who has all
of them was told a verdict; the source knows what is unread; nothing is left open.
"""

from __future__ import annotations

import fcntl
import itertools
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest import mock

import attrs
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from annexshell.errors import PayloadShort
from annexshell.model.payload import Payload, Validity
from annexshell.transport import branch, fanout, moving, sharing, syscalls, zerocopy
from annexshell.transport.branch import Branch
from annexshell.transport.fanout import Fan
from annexshell.transport.feeding import Take

_BYTES = bytes(i * 37 % 251 for i in range(60_000))
_BEHIND = b"VALID\n"


@attrs.frozen
class Source:
    """A pipe that brings ``length`` bytes in pieces, or ends before at ``cut``."""

    length: int
    early: int
    pieces: list[int]
    cut: int | None
    rest: float

    @property
    def end(self) -> int:
        """The bytes that it brings in fact."""
        end = self.length if self.cut is None else min(self.cut, self.length)
        return max(end, self.early)


def _digest() -> tuple[bytearray, Take]:
    digest = bytearray()
    return digest, digest.extend


@attrs.define
class Receiver:
    """Takes pieces and rests, from ``begin`` on; leaves after ``enough`` bytes."""

    skip: int
    piece: int
    rest: float
    begin: float
    enough: int | None
    patience: float | None
    direct: bool = False
    digest: bytearray | None = None
    heard: bytearray = attrs.field(factory=bytearray)
    verdict: Validity | None = None
    short: bool = False
    given_up: str = ""

    async def run(self, branch: Branch) -> None:
        try:
            with branch.scope:
                await trio.sleep(self.begin)
                await self._take(branch.payload)
        except PayloadShort:
            self.short = True
        finally:
            branch.close()
            self.given_up = branch.given_up

    async def _take(self, payload: Payload) -> None:
        if self.direct:
            assert payload.direct is not None
            self.digest = payload.direct.once("the one", _digest)
            await payload.direct.each(self._hear)
        elif not await self._move(payload):
            return
        self.verdict = await payload.verdict()

    def _hear(self, piece: memoryview) -> None:
        """In a thread of its own."""
        self.heard += piece
        if self.enough is not None and len(self.heard) >= self.enough:
            raise PayloadShort(name="had enough", missing=0)

    async def _move(self, payload: Payload) -> bool:
        target = memoryview(bytearray(self.piece))
        while payload.remaining:
            if self.enough is not None and len(self.heard) >= self.enough:
                return False
            count = await moving.fill(payload, target, self.heard.extend)
            assert count
            await trio.sleep(self.rest)
        return True


@attrs.define
class Ended:
    """What became of one run."""

    payload: Payload
    behind: bytes = b""
    asked: int = 0
    short: bool = False
    cancelled: bool = False

    async def verdict(self) -> Validity:
        self.asked += 1
        await trio.sleep(1)
        return Validity.VALID


async def _bring(source: Source, writing: int) -> None:
    rest = memoryview(_BYTES[source.early : source.end])
    sizes = list(source.pieces)
    while rest:
        size = sizes.pop(0) if sizes else len(rest)
        await syscalls.write_all(writing, rest[:size])
        rest = rest[size:]
        await trio.sleep(source.rest)
    if source.end == source.length:
        await syscalls.write_all(writing, _BEHIND)


async def _feed(source: Source, writing: int) -> None:
    try:
        await _bring(source, writing)
    finally:
        os.close(writing)


@attrs.frozen
class Kernel:
    """What it grants: the ``sizes`` of pipes in turn, and bytes shared by tee.

    After ``tees`` of them it refuses more. Each call does ``most`` bytes at most.
    """

    sizes: list[int]
    tees: int | None
    most: int

    @contextmanager
    def granting(self) -> Iterator[None]:
        sizes, asked = itertools.cycle(self.sizes), itertools.count()
        tee, forget, read_now = syscalls.tee, syscalls.forget, syscalls.read_now

        def widen(fd: int) -> None:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, next(sizes))

        def shared(source: int, out: int, count: int) -> int:
            if self.tees is not None and next(asked) >= self.tees:
                raise syscalls.Unsupported
            return tee(source, out, min(count, self.most))

        def forgotten(source: int, null: int, count: int) -> int:
            return forget(source, null, min(count, self.most // 2 + 1))

        def read(fd: int, target: memoryview) -> int:
            return read_now(fd, target[: self.most // 3 + 1])

        with (
            mock.patch.object(branch, "widen", widen),
            mock.patch.multiple(syscalls, tee=shared, forget=forgotten, read_now=read),
        ):
            yield


async def _run(
    source: Source,
    receivers: list[Receiver],
    window: int,
    patience: float,
    until: float,
) -> Ended:
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    payload = Payload(source.length, reading, prefix=_BYTES[: source.early])
    ended = Ended(payload)
    payload.verdict = ended.verdict
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_feed, source, writing)
        with trio.move_on_after(until) as limit:
            await _fan_out(ended, receivers, window, patience)
        ended.cancelled = limit.cancelled_caught
        if not ended.short and not ended.cancelled:
            with suppress(PayloadShort):
                # Who left before it ended early does not hear of that.
                await moving.drain(payload)
            ended.behind = await syscalls.read_some(reading, 100)
        else:
            nursery.cancel_scope.cancel()
    os.close(reading)
    return ended


async def _fan_out(
    ended: Ended, receivers: list[Receiver], window: int, patience: float
) -> None:
    with Fan(ended.payload, window=window, patience=patience) as fan:
        async with trio.open_nursery() as nursery:
            for one in receivers:
                to_one = fan.branch(one.skip, "node", one.patience)
                nursery.start_soon(one.run, to_one)
            try:
                await fan.run()
            except PayloadShort:
                ended.short = True


@st.composite
def sources(draw: st.DrawFn) -> Source:
    length = draw(st.one_of(st.integers(0, 100), st.integers(0, len(_BYTES))))
    return Source(
        length=length,
        early=draw(st.one_of(st.just(0), st.integers(0, length))),
        pieces=draw(st.lists(st.integers(1, 9000), max_size=8)),
        cut=draw(st.one_of(st.none(), st.none(), st.integers(0, length))),
        rest=draw(st.sampled_from([0.0, 0.0, 1.0])),
    )


_SOME = st.one_of(st.just(0), st.integers(0, len(_BYTES)))


def _receivers(*, mixed: bool) -> st.SearchStrategy[list[Receiver]]:
    return st.lists(
        st.builds(
            Receiver,
            skip=_SOME,
            piece=st.integers(1000, 70_000),
            rest=st.sampled_from([0.0, 0.0, 1.0, 100.0]),
            begin=st.sampled_from([0.0, 0.0, 50.0]),
            enough=st.one_of(st.none(), st.none(), st.none(), _SOME),
            patience=st.sampled_from([None, None, 500.0]),
            direct=st.booleans() if mixed else st.just(False),
        ),
        min_size=1,
        max_size=5,
    )


RECEIVERS = st.one_of(_receivers(mixed=True), _receivers(mixed=False))
KERNELS = st.builds(
    Kernel,
    sizes=st.lists(st.sampled_from([4096, 16384, 65536]), min_size=1, max_size=3),
    tees=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 20)),
    most=st.one_of(st.just(1 << 20), st.just(1 << 20), st.integers(1000, 70_000)),
)


@given(
    source=sources(),
    receivers=RECEIVERS,
    window=st.one_of(st.integers(200, 9000), st.just(1 << 20)),
    patience=st.sampled_from([1.0, 20.0, 1e9]),
    kernel=KERNELS,
    zero_copy=st.sampled_from([True, True, True, False]),
    until=st.one_of(st.just(math.inf), st.just(math.inf), st.floats(0, 300)),
)
def test_each_hears_the_source_and_only_who_heard_all_is_told(
    source: Source,
    receivers: list[Receiver],
    window: int,
    patience: float,
    kernel: Kernel,
    zero_copy: bool,
    until: float,
) -> None:
    _check(source, receivers, window, patience, kernel, zero_copy, until)


@given(
    source=st.builds(
        Source,
        length=st.integers(20_000, len(_BYTES)),
        early=st.sampled_from([0, 0, 100]),
        pieces=st.just([]),
        cut=st.sampled_from([None, None, None, 19_000]),
        rest=st.just(0.0),
    ),
    receivers=RECEIVERS,
    window=st.sampled_from([9000, 1 << 20, 1 << 20]),
    patience=st.sampled_from([20.0, 1e9]),
    kernel=KERNELS,
    until=st.one_of(st.just(math.inf), st.just(math.inf), st.floats(0, 300)),
)
def test_much_that_comes_at_once(
    source: Source,
    receivers: list[Receiver],
    window: int,
    patience: float,
    kernel: Kernel,
    until: float,
) -> None:
    """So that pipes share much of it."""
    _check(source, receivers, window, patience, kernel, True, until)


def _check(
    source: Source,
    receivers: list[Receiver],
    window: int,
    patience: float,
    kernel: Kernel,
    zero_copy: bool,
    until: float,
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    clock = trio.testing.MockClock(autojump_threshold=0)
    with (
        kernel.granting(),
        mock.patch.object(fanout, "NARROW", min(window, 5000)),
        mock.patch.object(branch, "SMALL", 100),
        mock.patch.object(sharing, "SMALL", 100),
        mock.patch.object(zerocopy, "allowed", zero_copy),
    ):
        ended = trio.run(_run, source, receivers, window, patience, until, clock=clock)
    assert len(os.listdir("/proc/self/fd")) == before
    for one in receivers:
        due = _BYTES[one.skip : source.length]
        assert due.startswith(one.heard)
        if one.verdict is not None:
            assert one.heard == due and ended.payload.remaining == 0
            assert one.digest is None or one.digest == due
        elif not (ended.cancelled or ended.short or one.given_up):
            assert one.enough is not None and len(one.heard) >= one.enough
        left = one.direct and one.enough is not None
        assert not (one.short and not (ended.short or ended.cancelled or left))
    _check_source(source, receivers, ended)


def _check_source(source: Source, receivers: list[Receiver], ended: Ended) -> None:
    assert ended.asked == any(one.verdict is not None for one in receivers) or (
        ended.cancelled and ended.asked == 1
    )
    if ended.short:
        assert source.end < source.length and ended.asked == 0
    if not ended.cancelled:
        # Whatever was left unread was read behind it; then comes the next message.
        assert ended.payload.remaining == source.length - source.end
        assert ended.behind == (b"" if ended.payload.remaining else _BEHIND)
    # Somebody always stays, unless it leaves by itself.
    assert not all(one.given_up for one in receivers)


@given(
    length=st.integers(0, 300),
    skips=st.lists(st.integers(0, 310), min_size=1, max_size=4),
    window=st.integers(1, 20),
)
def test_the_smallest_windows(length: int, skips: list[int], window: int) -> None:
    source = Source(length, 0, [], None, 0)
    receivers = [Receiver(skip, 7, 0, 0, None, None) for skip in skips]
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(_run, source, receivers, window, 60, math.inf, clock=clock)
    for one in receivers:
        assert one.heard == _BYTES[one.skip : length]
        assert one.verdict is Validity.VALID
