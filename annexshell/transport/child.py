"""A child process (ssh, a git service) as a Link over two pipes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import trio

from annexshell.transport.complaints import Complaints
from annexshell.transport.flow import widen
from annexshell.transport.link import Link

GRACE = 5.0
"""Seconds a child may take to end, once its input is closed and once it was told to."""


class Program(Protocol):
    """What is at the other end, in as far as we can wait for it and end it."""

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs, or where that is not told."""

    async def wait(self) -> object:
        """Return once it has ended."""

    def terminate(self) -> None:
        """Tell it to end."""

    def kill(self) -> None:
        """End it."""


class ChildLink(Link):
    """The pipes of a child; closing it means waiting for the child's end.

    ``complaints`` is where its stderr goes, None if that is ours. ``opened`` is when it was
    started, by the clock of `time.monotonic`.
    """

    def __init__(
        self,
        process: Program,
        reading: int,
        writing: int,
        name: str,
        complaints: Complaints | None = None,
    ):
        super().__init__(reading, writing, name)
        self.process = process
        self.complaints = complaints
        self.opened = time.monotonic()
        if complaints is not None:
            complaints.begin()

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
            await self._ended(*ends)
        if self.complaints is not None:
            self.complaints.close()

    async def _ended(self, *ends: Callable[[], None]) -> None:
        for end in ends:
            with trio.move_on_after(GRACE):
                await self.process.wait()
                return
            end()
        await self.process.wait()

    def detach(self) -> tuple[int, int]:
        """Both descriptors, for somebody else; the link is as good as closed."""
        found = self.reading, self.writing
        self.reading = self.writing = -1
        return found


class Adopted:
    """A program that somebody else started, known by its ``pidfd``, which is ours now."""

    returncode: None = None
    """Only its parent is told."""

    def __init__(self, pidfd: int) -> None:
        self._pidfd = pidfd

    async def wait(self) -> None:
        """Return once it has ended; nothing is left open then."""
        if self._pidfd >= 0:
            await trio.lowlevel.wait_readable(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def detach(self) -> int:
        """The pidfd, for somebody else."""
        pidfd, self._pidfd = self._pidfd, -1
        return pidfd

    def terminate(self) -> None:
        """Tell it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


async def open_child(argv: list[str], name: str, *, lasting: bool = False) -> ChildLink:
    """Start ``argv`` with our stderr. Raises OSError if it cannot be started.

    One that is ``lasting`` may be left to others later: its stderr is passed on to ours,
    and no signal reaches it that is meant for a group of processes.
    """
    child_in, writing = os.pipe2(os.O_CLOEXEC)
    reading, child_out = os.pipe2(os.O_CLOEXEC)
    complaining, child_err = os.pipe2(os.O_CLOEXEC) if lasting else (-1, -1)
    try:
        process = await trio.lowlevel.open_process(
            argv,
            stdin=child_in,
            stdout=child_out,
            stderr=child_err if lasting else None,
            start_new_session=lasting,
        )
    except BaseException:
        # Also if nobody wants it any more.
        _close(writing, reading, complaining)
        raise
    finally:
        _close(child_in, child_out, child_err)
    widen(reading)
    widen(writing)
    complaints = Complaints(complaining) if lasting else None
    return ChildLink(process, reading, writing, name, complaints)


def _close(*descriptors: int) -> None:
    for fd in descriptors:
        if fd >= 0:
            os.close(fd)
