"""How long a pipe is left alone, by what its other side did before."""

from __future__ import annotations

import pytest

from annexshell.transport.pacing import GOAL, LARGE_STEP, LONGEST, SHORTEST, Pace

SIZE = 1 << 20


def test_who_did_nothing_yet_is_waited_for() -> None:
    assert Pace().pause(SIZE) == 0


def test_most_of_what_is_there_is_waited_for() -> None:
    pace = Pace()
    pace.observe(SIZE // 4, 0.001, SIZE)
    assert pace.pause(SIZE) == pytest.approx(4 * GOAL * 0.001)
    assert pace.pause(SIZE // 2) == pytest.approx(2 * GOAL * 0.001)


def test_nobody_sleeps_for_less_than_falling_asleep_takes() -> None:
    pace = Pace()
    pace.observe(SIZE // 4, SHORTEST / 8, SIZE)
    assert pace.pause(SIZE) == 0


def test_who_moved_nothing_is_waited_for() -> None:
    pace = Pace()
    pace.observe(SIZE // 4, 0.001, SIZE)
    pace.observe(0, 0.001, SIZE)
    assert pace.pause(SIZE) == 0


def test_who_was_found_waiting_after_a_long_pause_waits_no_second_time() -> None:
    pace = Pace()
    pace.observe(1000, 1, SIZE)
    assert pace.pause(SIZE) == LONGEST
    pace.observe(SIZE, LONGEST, SIZE)
    assert pace.pause(SIZE) <= 0.002


def test_more_time_that_brings_no_more_is_not_taken_again() -> None:
    """A socket holds less than its size: its writer would wait for us, and we for it."""
    pace, pauses = Pace(), []
    pace.observe(10_000, 0.0001, SIZE)
    for _ in range(50):
        pauses.append(seconds := pace.pause(SIZE))
        # 100 MB/s, but never more than 150 kB.
        pace.observe(int(min(seconds * 1e8, 150_000)), seconds, SIZE)
    assert sum(pauses[10:]) / 40 < 0.004


def test_who_moves_much_at_once_is_waited_for() -> None:
    """The kernel wakes us when it is done with that; a pause would end in the middle."""
    pace = Pace()
    pace.observe(int(SIZE * LARGE_STEP), 0.001, SIZE)
    assert pace.pause(SIZE) == 0
    pace.observe(int(SIZE * LARGE_STEP) - 1, 0.001, SIZE)
    assert pace.pause(SIZE) > 0
