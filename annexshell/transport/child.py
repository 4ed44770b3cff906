"""A child process (ssh, a git service) as a Link over two pipes."""

from __future__ import annotations

import os
from collections.abc import Callable

import trio

from annexshell.transport.flow import widen
from annexshell.transport.link import Link

GRACE = 5.0
"""Seconds a child may take to end, once its input is closed and once it was told to."""


class ChildLink(Link):
    """The pipes of a child; closing it means waiting for the child's end."""

    def __init__(self, process: trio.Process, reading: int, writing: int, name: str):
        super().__init__(reading, writing, name)
        self.process = process

    @property
    def exit_code(self) -> int | None:
        return self.process.returncode

    async def aclose(self) -> None:
        """Close the child's input, give it time to end, tell it to, then kill it.

        git that is killed leaves its lock files; git that is told to end removes them.
        """
        self.close()
        await self._reap(self.process.terminate, self.process.kill)

    def abandon(self) -> None:
        """Tell the child to end at once, and wait for that in the background.

        For whoever hangs, or is not needed any more, while others are to be asked. `trio.run`
        does not return before it has ended.
        """
        self.close()
        self.process.terminate()
        trio.lowlevel.spawn_system_task(self._reap, self.process.kill)

    async def _reap(self, *ends: Callable[[], None]) -> None:
        with trio.CancelScope(shield=True):
            for end in ends:
                with trio.move_on_after(GRACE):
                    await self.process.wait()
                    return
                end()
            await self.process.wait()


async def open_child(argv: list[str], name: str) -> ChildLink:
    """Start ``argv`` with our stderr. Raises OSError if it cannot be started."""
    child_in, writing = os.pipe2(os.O_CLOEXEC)
    reading, child_out = os.pipe2(os.O_CLOEXEC)
    try:
        process = await trio.lowlevel.open_process(
            argv, stdin=child_in, stdout=child_out, stderr=None
        )
    except BaseException:
        # Also if nobody wants it any more.
        os.close(writing)
        os.close(reading)
        raise
    finally:
        os.close(child_in)
        os.close(child_out)
    widen(reading)
    widen(writing)
    return ChildLink(process, reading, writing, name)
