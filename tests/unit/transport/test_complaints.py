"""What a child says on stderr reaches ours while the child is ours, and not later."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from annexshell.transport import complaints as module
from annexshell.transport.complaints import Complaints
from tests.support.async_tests import trio_test

Pipes = tuple[int, int, int, int]


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """What the child has, its other end, what we write to, and what is heard there."""
    theirs, child = os.pipe()
    heard, ours = os.pipe()
    os.set_blocking(heard, False)
    yield theirs, child, ours, heard
    for fd in (child, ours, heard):
        os.close(fd)


def test_what_comes_is_passed_on_as_it_comes(pipes: Pipes) -> None:
    theirs, child, ours, heard = pipes

    async def main() -> None:
        complaints = Complaints(theirs, ours)
        complaints.begin()
        for text in (b"one\n", b"half of a"):
            os.write(child, text)
            await trio.lowlevel.wait_readable(heard)
            assert os.read(heard, 100) == text
        complaints.close()
        complaints.close()

    trio_test(main)()


def test_what_is_left_at_the_end_is_passed_on(pipes: Pipes) -> None:
    theirs, child, ours, heard = pipes

    async def main() -> None:
        complaints = Complaints(theirs, ours)
        complaints.begin()
        os.write(child, b"Permission denied\n")
        complaints.close()
        assert os.read(heard, 100) == b"Permission denied\n"
        # Its turn comes after the end.
        await trio.testing.wait_all_tasks_blocked()

    trio_test(main)()


def test_a_child_that_complains_for_ever_is_not_listened_to_for_ever(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, child, ours, heard = pipes
    monkeypatch.setattr(module, "_MOST_LEFT", 10)

    async def main() -> None:
        complaints = Complaints(theirs, ours)
        os.write(child, b"x" * 10_000)
        fd = complaints.detach()
        assert 10 <= len(os.read(heard, 20_000)) < 10_000
        assert os.read(fd, 20_000)
        os.close(fd)

    trio_test(main)()


def test_after_it_was_given_away_nothing_is_passed_on(pipes: Pipes) -> None:
    theirs, child, ours, heard = pipes

    async def main() -> None:
        complaints = Complaints(theirs, ours)
        complaints.begin()
        await trio.testing.wait_all_tasks_blocked()
        assert complaints.detach() == theirs
        os.write(child, b"for somebody else\n")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(BlockingIOError):
            os.read(heard, 100)
        assert os.read(theirs, 100) == b"for somebody else\n"
        os.close(theirs)

    trio_test(main)()
