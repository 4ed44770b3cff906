"""The ends of programs that are links."""

from __future__ import annotations

import os
import signal

import pytest
import trio

from annexshell.transport import child
from annexshell.transport.child import ChildLink, open_child


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def hanging() -> ChildLink:
    return await open_child(["sleep", "1000"], "the node")


def test_who_is_abandoned_is_not_waited_for_but_ends() -> None:
    async def main() -> ChildLink:
        link = await hanging()
        link.abandon()
        assert link.reading == link.writing == -1
        return link

    link = trio.run(main)
    assert link.exit_code == -signal.SIGTERM


def test_one_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> ChildLink:
        monkeypatch.setattr(child, "GRACE", 0.01)
        stubborn = "trap '' TERM; echo ready; exec sleep 1000"
        link = await open_child(["sh", "-c", stubborn], "the node")
        assert await link.read(6) == b"ready\n"
        link.abandon()
        return link

    assert trio.run(main).exit_code == -signal.SIGKILL


def test_nothing_stays_open_if_nobody_waits_for_the_start() -> None:
    async def main() -> int:
        before = open_descriptors()
        with trio.CancelScope() as scope:
            scope.cancel()
            await hanging()
        assert scope.cancelled_caught
        return open_descriptors() - before

    assert trio.run(main) == 0
