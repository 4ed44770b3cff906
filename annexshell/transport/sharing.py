"""What pipes get of a fan-out's source without a copy: tee, where that is a pipe as well.

tee(2) gives a pipe what will be read next from another one, which keeps it. So it is only
for branches that have all that was read before, and what they were given has to leave the
source before anything else is done: it is read for those that take it from memory, or that
had less room, and forgotten if there are none. No step between the two waits.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection, Mapping

from annexshell.model.payload import Payload
from annexshell.transport import syscalls, zerocopy
from annexshell.transport.branch import Branch, Tap
from annexshell.transport.moving import SMALL
from annexshell.transport.syscalls import Unsupported
from annexshell.transport.window import Window

_MUCH = 3
"""How many times as much as the room of a pipe may be in it already."""

log = logging.getLogger("annexshell.transport")


class Sharing:
    """Takes bytes from ``source``, and lets the pipes of ``branches`` share them.

    Where the kernel refuses that once, it is not asked again: all bytes are read.
    """

    def __init__(
        self,
        source: Payload,
        window: Window,
        branches: Collection[Branch],
        taps: Mapping[object, Tap],
    ) -> None:
        self._source = source
        self._window = window
        self._branches = branches
        self._taps = taps
        self._works = zerocopy.allowed and source.length > SMALL and _is_pipe(source)
        self._null = -1

    def close(self) -> None:
        """Nothing more is taken; twice is harmless."""
        self._works = False
        if self._null >= 0:
            os.close(self._null)
            self._null = -1

    @property
    def possible(self) -> bool:
        """Whether `read` may save something, as there is a pipe, or may be one soon."""
        if not self._works or self._source.prefix:
            return False
        return any(one.piped or one.undecided for one in self._branches)

    def early(self, little: int) -> bool:
        """Whether all have enough to do, ``little`` bytes in memory being none.

        What is read then finds the pipes full, and has to be copied to them.
        """
        head = self._window.head
        # What comes before any of them begins nobody can want.
        due = [one for one in self._branches if one.due_next(head)]
        if not self._works or not any(one.piped for one in due):
            return False
        return not any(one.wants(head, little) for one in due)

    def read(self, fd: int, target: memoryview) -> int:
        """As `syscalls.read_now`, but what nobody needs in memory is not written there.

        What it returns is how many bytes left the source. Branches may have got some of
        them; they hear of that when the window's head moves. Raises OSError.
        """
        level = self._level()
        if not (self._works and level):
            return syscalls.read_now(fd, target)
        kept = self._is_kept(level)
        taken = self._shared(level, fd, self._limit(len(target)))
        if max(taken) > 0:
            passed = 0 if kept else self._forget(fd, min(taken))
            return _rest(fd, target[: max(taken)], passed)
        if max(taken) < 0 and not level[-1].unread:
            # It had room, so there is nothing. To look again might find something.
            raise BlockingIOError
        return syscalls.read_now(fd, target)

    def _level(self) -> list[Branch]:
        """Those that have all that was read, who has most of it left first."""
        window = self._window
        for one in self._branches:
            if one.piped and one.lag(window.head):
                # It may have room by now.
                one.push(window, 1)
        level = [one for one in self._branches if one.level(window.head)]
        return sorted(level, key=lambda one: -one.unread)

    def _is_kept(self, level: list[Branch]) -> bool:
        """Whether somebody else needs what comes next, and so needs it in memory."""
        due = [one for one in self._branches if one.due_next(self._window.head)]
        return len(due) > len(level) or any(tap.alive for tap in self._taps.values())

    def _limit(self, most: int) -> int:
        """No more than until another branch begins: it is level then, and not behind."""
        head = self._window.head
        begins = (one.skip - head for one in self._branches if one.skip > head)
        return min([most, *begins])

    def _shared(self, level: list[Branch], fd: int, limit: int) -> list[int]:
        """What each of them was given.

        Nobody gets more than the first, who has the least room, if that is much: it can
        be forgotten, and the others ask again. If it is little, it falls behind, for
        nobody is to wait for it.
        """
        taken: list[int] = []
        for one in level:
            unread = one.unread
            count = self._give(one, fd, limit)
            if count * _MUCH >= unread and count > 0 and not taken:
                limit = count
            taken.append(count)
        return taken

    def _give(self, branch: Branch, fd: int, limit: int) -> int:
        """The number of bytes; 0 at the end or if it is not possible, -1 for not now."""
        if not self._works:
            return 0
        try:
            return branch.share(fd, limit)
        except BlockingIOError:
            return -1
        except (Unsupported, OSError) as error:
            # If it is the branch's fault, the copy tells.
            log.debug("no tee from %s: %r", self._source.source, error)
            self._works = False
            return 0

    def _forget(self, fd: int, count: int) -> int:
        """Take bytes that all have; how many that were, as the others can be read."""
        if count <= 0:
            return 0
        try:
            if self._null < 0:
                self._null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            return syscalls.forget(fd, self._null, count)
        except (Unsupported, OSError) as error:
            log.debug("nothing is forgotten of %s: %r", self._source.source, error)
            return 0


def _rest(fd: int, target: memoryview, passed: int) -> int:
    """Read all of ``target`` but the first ``passed`` bytes, which have left the source.

    It is all there, since it was given to a branch.
    """
    while passed < len(target):
        try:
            count = syscalls.read_now(fd, target[passed:])
        except OSError:
            if passed == 0:
                raise
            # What was taken counts, and the next call meets it again.
            break
        if count == 0:
            break
        passed += count
    return passed


def _is_pipe(payload: Payload) -> bool:
    fd = payload.descriptor
    return payload.position is None and fd >= 0 and stat.S_ISFIFO(os.fstat(fd).st_mode)
