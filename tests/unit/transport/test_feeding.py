"""Work in a thread beside trio: in order, counted, ended by a failure or when told."""

from __future__ import annotations

import threading

import pytest
import trio

from annexshell.transport.feeding import Feed
from annexshell.transport.window import Window
from tests.support.async_tests import trio_test


@pytest.mark.parametrize("threaded", [True, False])
@trio_test
async def test_pieces_are_done_in_order(threaded: bool) -> None:
    heard: list[bytes] = []
    feed = Feed(lambda piece: heard.append(bytes(piece)), threaded=threaded)
    for number in range(100):
        feed.give(memoryview(b"%d" % number))
    await feed.reached(feed.given)
    assert heard == [b"%d" % number for number in range(100)]
    assert (feed.done, feed.busy) == (190, False)
    feed.stop()
    await feed.settled()


@trio_test
async def test_the_work_is_done_in_a_thread_unless_it_is_little() -> None:
    threads: list[int] = []

    def take(piece: memoryview) -> None:
        threads.append(threading.get_ident())

    for threaded in (True, False):
        feed = Feed(take, threaded=threaded)
        feed.give(memoryview(b"x"))
        await feed.reached(1)
        feed.stop()
    assert threads[0] != threads[1] == threading.get_ident()


@pytest.mark.parametrize("threaded", [True, False])
@trio_test
async def test_a_failure_ends_it(threaded: bool) -> None:
    heard: list[bytes] = []

    def take(piece: memoryview) -> None:
        heard.append(bytes(piece))
        if heard[-1] == b"two":
            raise OSError("the disk is full")

    feed = Feed(take, threaded=threaded)
    for word in (b"one", b"two", b"three"):
        feed.give(memoryview(word))
    with pytest.raises(OSError, match="full"):
        await feed.reached(feed.given)
    assert heard == [b"one", b"two"]
    assert (feed.done, feed.busy, feed.ended) == (3, False, True)


@trio_test
async def test_a_stopped_one_begins_nothing_more() -> None:
    begun, goes_on = trio.Event(), threading.Event()
    heard: list[bytes] = []
    token = trio.lowlevel.current_trio_token()

    def take(piece: memoryview) -> None:
        heard.append(bytes(piece))
        token.run_sync_soon(begun.set)
        goes_on.wait()

    feed = Feed(take)
    feed.give(memoryview(b"one"))
    feed.give(memoryview(b"two"))
    await begun.wait()
    feed.stop()
    assert (feed.busy, feed.ended) == (True, False)
    goes_on.set()
    await feed.settled()
    assert heard == [b"one"]
    assert (feed.busy, feed.ended) == (False, True)


@trio_test
async def test_news_come_at_the_goal_and_while_it_is_watched() -> None:
    told: list[int] = []
    feed = Feed(lambda piece: None, lambda: told.append(feed.done))
    feed.goal = 4
    for _ in range(4):
        feed.give(memoryview(b"x"))
    await feed.reached(4)
    feed.stop()
    await feed.settled()
    assert told[-1] == 4


@trio_test
async def test_it_follows_a_window_in_large_pieces() -> None:
    heard = bytearray()
    feed, window = Feed(heard.extend, threaded=False), Window(10)
    for content in (b"abcd", b"efgh", b"ijkl"):
        rest = memoryview(content)
        while rest:
            room = window.room(2 + feed.done, len(rest))
            room[:] = rest[: len(room)]
            window.head += len(room)
            rest = rest[len(room) :]
            feed.follow(window, 2, 5)
    # Of the first bytes two are not its own, and the last are too few.
    assert heard == b"cdefgh"
    feed.follow(window, 2, 1)
    assert heard == b"cdefghijkl"
