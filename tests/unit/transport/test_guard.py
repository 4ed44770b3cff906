"""Limits on many short waits, and on those that follow."""

from __future__ import annotations

import os

import pytest
import trio

from annexshell.transport.guard import Guard
from tests.support.async_tests import clock_test


@clock_test
async def test_later_waits_are_bounded_whenever_they_come() -> None:
    """Longer, shorter, at once and after the watching task went to its end."""
    reading, writing = os.pipe()
    guard, wait = Guard(), trio.lowlevel.wait_readable
    for pause, seconds in [(0, 10), (0, 10), (3, 100), (0, 7), (1000, 50), (5, 1)]:
        await trio.sleep(pause)
        begun = trio.current_time()
        assert not await guard.wait(wait, reading, seconds)
        assert trio.current_time() - begun == pytest.approx(seconds)
    os.write(writing, b"x")
    assert await guard.wait(wait, reading, 10)
    os.close(reading)
    os.close(writing)


@clock_test
async def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    reading, writing = os.pipe()
    guard, wait = Guard(), trio.lowlevel.wait_readable
    with trio.move_on_after(5) as scope:
        await guard.wait(wait, reading, 10)
    assert scope.cancelled_caught
    begun = trio.current_time()
    with trio.move_on_after(20) as scope:
        await wait(reading)
    assert scope.cancelled_caught and trio.current_time() - begun == 20
    os.close(reading)
    os.close(writing)
