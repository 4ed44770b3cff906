"""The pool holds what is idle, for a while, and gives away nothing that stirred."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import attrs
import pytest

from annexshell.remotes import kept
from annexshell.remotes.kept import Kept
from annexshell.warm import pool as module
from annexshell.warm.pool import Pool

KEYS = [f"{number:064x}" for number in range(20)]


@attrs.define
class Clock:
    """Seconds as the test wants them."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@attrs.define
class Node:
    """The far ends of a connection, and the process that stands for its ssh."""

    handed: list[int]
    saying: int
    hearing: int
    complaining: int
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls) -> Node:
        reading, saying = os.pipe()
        hearing, writing = os.pipe()
        complaints, complaining = os.pipe()
        process = subprocess.Popen(["sleep", "1000"])
        pidfd = os.pidfd_open(process.pid)
        handed = [reading, writing, complaints, pidfd]
        return cls(handed, saying, hearing, complaining, process)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for fd in (self.saying, self.hearing, self.complaining):
            if fd >= 0:
                os.close(fd)

    @property
    def heard_end(self) -> bool:
        os.set_blocking(self.hearing, False)
        try:
            return os.read(self.hearing, 1) == b""
        except BlockingIOError:
            return False


@pytest.fixture
def node() -> Iterator[Callable[[], Node]]:
    """Makes connections."""
    made: list[Node] = []

    def make() -> Node:
        made.append(Node.start())
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[Pool]:
    made = Pool(3, clock)
    yield made
    made.close()
    assert len(made) == 0


def leave(pool: Pool, key: str, node: Node, rest: float = 60) -> None:
    message = kept.keeping(Kept(key, rest, b"4 1.000"))
    assert pool.answer(message, node.handed) == (kept.LEFT, [])


def take(pool: Pool, key: str) -> list[int]:
    reply, descriptors = pool.answer(kept.taking(key), [])
    assert (kept.answered(reply) is not None) == bool(descriptors)
    return descriptors


def close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def test_what_was_left_is_given_to_who_asks_for_it_and_once(
    pool: Pool, node: Callable[[], Node]
) -> None:
    one = node()
    leave(pool, KEYS[0], one)
    assert take(pool, KEYS[1]) == []
    assert take(pool, KEYS[0]) == one.handed
    assert not one.heard_end
    # They were sent by now, or could not be.
    assert take(pool, KEYS[0]) == []
    assert one.heard_end


def test_what_was_given_is_held_until_it_is_sent(
    pool: Pool, clock: Clock, node: Callable[[], Node]
) -> None:
    one = node()
    leave(pool, KEYS[0], one)
    sent = [os.dup(fd) for fd in take(pool, KEYS[0])]
    assert pool.expire(clock.now) is None
    assert not one.heard_end
    close(sent)
    assert one.heard_end


def test_of_several_that_are_alike_the_youngest_comes_first(
    pool: Pool, node: Callable[[], Node]
) -> None:
    first, second = node(), node()
    leave(pool, KEYS[0], first)
    leave(pool, KEYS[0], second)
    assert take(pool, KEYS[0]) == second.handed
    assert take(pool, KEYS[0]) == first.handed


def test_the_oldest_leaves_where_there_are_too_many(
    pool: Pool, node: Callable[[], Node]
) -> None:
    nodes = [node() for _ in range(4)]
    for key, one in zip(KEYS, nodes):
        leave(pool, key, one)
    assert len(pool) == 3
    assert nodes[0].heard_end and not nodes[1].heard_end
    assert take(pool, KEYS[0]) == []


def test_what_rested_too_long_is_given_to_nobody(
    pool: Pool, clock: Clock, node: Callable[[], Node]
) -> None:
    one = node()
    leave(pool, KEYS[0], one, rest=60)
    clock.now += 60
    assert take(pool, KEYS[0]) == []
    assert one.heard_end


def test_expiry_says_when_it_is_next_wanted(
    pool: Pool, clock: Clock, node: Callable[[], Node]
) -> None:
    assert pool.expire(clock.now) is None
    one, two = node(), node()
    leave(pool, KEYS[0], one, rest=60)
    leave(pool, KEYS[1], two, rest=90)
    assert pool.expire(clock.now) == 60
    clock.now += 60
    # The process has its time to end; it does not use it.
    assert pool.expire(clock.now) == module.GRACE
    assert one.heard_end and not two.heard_end and len(pool) == 1
    assert one.process.poll() is None
    clock.now += module.GRACE
    assert pool.expire(clock.now) == 30 - module.GRACE
    assert one.process.wait() == -signal.SIGTERM
    assert two.process.poll() is None


def _speaks(node: Node) -> None:
    os.write(node.saying, b"SUCCESS\n")


def _complains(node: Node) -> None:
    os.write(node.complaining, b"client_loop: send disconnect\n")


def _hangs_up(node: Node) -> None:
    os.close(node.saying)
    node.saying = -1


def _goes_deaf(node: Node) -> None:
    os.close(node.hearing)
    node.hearing = -1


def _dies(node: Node) -> None:
    node.process.kill()
    # Not waited for: whoever is a zombie has ended as well.
    os.waitid(os.P_PID, node.process.pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize(
    "happens",
    [_speaks, _complains, _hangs_up, _goes_deaf, _dies],
    ids=lambda f: f.__name__,
)
def test_one_that_stirred_is_given_to_nobody(
    pool: Pool, node: Callable[[], Node], happens: Callable[[Node], None]
) -> None:
    one, other = node(), node()
    leave(pool, KEYS[0], other)
    leave(pool, KEYS[0], one)
    happens(one)
    assert take(pool, KEYS[0]) == other.handed
    assert len(pool) == 0


def test_an_end_of_one_that_is_gone_already_is_none(
    pool: Pool, clock: Clock, node: Callable[[], Node]
) -> None:
    one = node()
    leave(pool, KEYS[0], one)
    one.process.kill()
    one.process.wait()
    clock.now += 1000
    assert pool.expire(clock.now) == module.GRACE
    clock.now += module.GRACE
    assert pool.expire(clock.now) is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff\0 nonsense",
        b"keep x 60 4 1",
        kept.keeping(Kept(KEYS[0], 60.0, b""))[:40],
        kept.taking(KEYS[0]),
    ],
)
def test_strange_messages_cost_their_descriptors_and_nothing_else(
    pool: Pool, node: Callable[[], Node], message: bytes
) -> None:
    one = node()
    reply, descriptors = pool.answer(message, one.handed)
    assert descriptors == [] and len(pool) == 0
    assert reply == kept.NONE
    assert one.heard_end


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_connection_is_four_descriptors(
    pool: Pool, node: Callable[[], Node], count: int
) -> None:
    one = node()
    rest = one.handed[count:]
    message = kept.keeping(Kept(KEYS[0], 60.0, b""))
    assert pool.answer(message, one.handed[:count]) == (kept.NONE, [])
    assert len(pool) == 0
    close(rest)


def test_closing_ends_all_of_them_at_once(
    clock: Clock, node: Callable[[], Node]
) -> None:
    one, two = node(), node()
    pool = Pool(3, clock)
    leave(pool, KEYS[0], one, rest=1)
    leave(pool, KEYS[1], two)
    clock.now += 2
    pool.expire(clock.now)
    pool.close()
    assert one.process.wait() == two.process.wait() == -signal.SIGTERM
    assert one.heard_end and two.heard_end
    assert pool.expire(clock.now) is None
