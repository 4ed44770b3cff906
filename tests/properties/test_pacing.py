"""Pauses are bounded, follow the other side within a cycle, and save wake-ups.

Simulated: a reader that empties a pipe at speeds that change, and whoever fills it, waking
up when its pause is over, or, where there is none, when the reader took a piece.
"""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from annexshell.transport.pacing import LONGEST, SHORTEST, Pace

_SIZES = st.integers(1 << 16, 1 << 20)
_PIECE = 1 << 14
_SPEEDS = st.floats(1e6, 2e9)


@given(
    seen=st.lists(
        st.tuples(st.integers(0, 1 << 22), st.floats(0, 1000), _SIZES),
        max_size=20,
    ),
    most=st.integers(0, 1 << 21),
)
def test_pauses_are_bounded_whatever_was_seen(
    seen: list[tuple[int, float, int]], most: int
) -> None:
    pace = Pace()
    for moved, seconds, size in seen:
        pace.observe(moved, seconds, size)
        pace.pause(size)
    pause = pace.pause(most)
    assert pause == 0 or SHORTEST <= pause <= LONGEST


@given(rate=_SPEEDS, most=_SIZES)
def test_what_remains_is_waited_for_no_longer_than_it_takes(
    rate: float, most: int
) -> None:
    pace = Pace()
    pace.observe(int(rate / 1000), 0.001, rate)
    assert pace.pause(most) <= most / rate * 1.01


class Cycles:
    """Time, wake-ups and idle time of a reader, while a pipe of ``size`` is kept full."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pace = Pace()
        self.time = self.idle = 0.0
        self.moved = self.wakeups = 0

    def run(self, speed: float, cycles: int) -> None:
        for _ in range(cycles):
            pause = self.pace.pause(self.size) or _PIECE / speed
            taken = min(int(pause * speed), self.size)
            self.pace.observe(taken, pause, self.size)
            self.idle += max(pause - self.size / speed, 0)
            self.time += pause
            self.moved += taken
            self.wakeups += 1


@given(speed=_SPEEDS, size=_SIZES)
def test_a_steady_reader_is_never_idle_and_needs_few_wake_ups(
    speed: float, size: int
) -> None:
    assume(2 * SHORTEST < size / speed)
    cycles = Cycles(size)
    cycles.run(speed, 100)
    assert cycles.idle == 0
    slow = cycles.time / LONGEST
    assert cycles.wakeups <= 1.4 * max(cycles.moved / size, slow) + 4


@given(before=_SPEEDS, after=_SPEEDS, size=_SIZES)
def test_a_reader_that_changes_its_speed_is_followed(
    before: float, after: float, size: int
) -> None:
    cycles = Cycles(size)
    cycles.run(before, 20)
    cycles.idle = 0.0
    cycles.run(after, 20)
    # One pause that was chosen for the old speed, and what it takes to find the new one.
    assert cycles.idle <= LONGEST + 0.004
