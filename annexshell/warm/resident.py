"""The process that has everything loaded, and forks one that is ready ahead of each session.

It never sees a client's descriptors, nor runs anything of a session: the process that waits
ahead accepts the launcher itself. So nothing can leak from one session into the next, and
no session ends because the resident does. It leaves when it was idle for long enough, when
what is installed is not what it loaded, and when its socket is gone.
"""

from __future__ import annotations

import gc
import os
import posix
import select
import shutil
import signal
import socket
import struct
import time
from contextlib import suppress
from typing import NoReturn

from annexshell.repository.keptconfig import KeptConfigs
from annexshell.serve.stage import prepare
from annexshell.warm import pages, session
from annexshell.warm.installation import Installation
from annexshell.warm.keyring import forget_login
from annexshell.warm.loading import load_everything
from annexshell.warm.place import Place, place_in
from annexshell.warm.pool import Pool
from annexshell.warm.session import ADMITTED, FRESH, NEWS, PAGES, TAKEN, attend
from annexshell.warm.settings import IDLE
from annexshell.warm.standing import standing
from annexshell.warm.starting import LISTENING, LOCK

_LOOKING = 60.0
"""Seconds between looks at the installation while nothing happens."""
_BACKLOG = 1024
_MESSAGE = 1 << 16
_RIGHTS = 16
_SPARE, _MOST_SPARE = 2, 12
"""Processes that wait for a launcher; how many while launchers wait for them."""
_LULL = 0.05
"""Seconds after a session began, in which nothing is prepared for the next but one."""
_SHORT_LIVED = 3
"""Processes in a row that end before they had a session: something is wrong here."""


class Leave(Exception):
    """Nobody is to be served here any more; sessions that run go on without us."""


class Child:
    """A process that was forked, until it ends: waiting, then with a session."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.taken = self.confirmed = self.admitted = False


class Resident:
    """Serves at ``place``; what it keeps for sessions is in ``pool``."""

    def __init__(
        self, place: Place, installation: Installation, pool: Pool, stage: str
    ) -> None:
        self._place = place
        self._stage = stage
        self._configs = KeptConfigs()
        self._installation = installation
        self._pool = pool
        self._standing, _ = standing(os.getpid())
        self._children: dict[int, Child] = {}
        self._poll = select.poll()
        self._idle, self._since = IDLE, time.monotonic()
        self._unused = 0
        self._pages = b""
        self._due: float | None = None
        # Nobody waits for children; the system need not keep their exit status.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        self._listener = _listen(place)
        self._socket = os.lstat(place.socket)

    def run(self) -> None:
        """Serve until there is a reason to leave."""
        try:
            self._fork_ahead(1)
            os.close(LISTENING)
            while True:
                self._step()
        except Leave:
            return
        finally:
            self._pool.close()
            self._withdraw()

    def _step(self) -> None:
        events = self._poll.poll(self._patience() * 1000)
        for fd, _ in events:
            self._hear(fd)
        if not self._refilled() and not events:
            if not self._current():
                raise Leave
            self._dismiss()
        self._confirm()

    def _patience(self) -> float:
        """Seconds until something is to be done; raises Leave when idle for too long."""
        now = time.monotonic()
        due = self._pool.expire(now)
        left = _LOOKING if due is None else min(_LOOKING, due)
        if self._due is not None:
            left = min(left, max(0.0, self._due - now))
        if any(child.taken for child in self._children.values()):
            return left
        rest = self._since + self._idle - now
        if rest <= 0:
            raise Leave
        return min(left, rest)

    def _current(self) -> bool:
        """Whether all that we were loaded from, and our socket, are still there."""
        try:
            os.close(self._place.enter())
            same = os.path.samestat(os.lstat(self._place.socket), self._socket)
        except OSError:
            return False
        return same and self._installation.unchanged()

    # -- children ---------------------------------------------------------------------------

    def _fork(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError as error:
            raise Leave from error
        if pid == 0:
            self._attend(ours, theirs)
        theirs.close()
        self._children[ours.fileno()] = Child(ours)
        self._poll.register(ours, select.POLLIN)

    def _attend(self, ours: socket.socket, keeper: socket.socket) -> NoReturn:
        try:
            # Ends of other sessions' sockets, and what is kept for them, are not ours. The
            # objects stay referenced from this frame, so none closes a number again.
            ours.detach()
            for child in self._children.values():
                child.link.detach()
            _close_all_but(self._listener.fileno(), keeper.fileno())
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            resident = session.Resident(keeper, self._configs)
            identity, like = self._place.identity, self._standing
            told = self._stage, self._pages
            attend(self._listener, resident, identity, like, *told)
        finally:
            os._exit(1)

    def _hear(self, fd: int) -> None:
        child = self._children[fd]
        try:
            text, given, _, _ = socket.recv_fds(
                child.link, _MESSAGE, _RIGHTS, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            text, given = b"", []
        if not text:
            self._ended(fd, child)
        elif text[:1] == NEWS:
            self._told(child, text)
        elif text[:1] == PAGES and not child.taken:
            self._pages = text[1:]
        elif child.admitted:
            self._answer(child, text, given)
        elif child.taken and text[:1] == ADMITTED:
            child.admitted = True
            (self._idle,) = struct.unpack("d", text[1:])
        elif text == TAKEN:
            child.taken, self._unused = True, 0

    def _confirm(self) -> None:
        """Tell those that have a launcher by now whether all is as it was loaded.

        What was looked at after all of them came is looked at once.
        """
        new = [c for c in self._children.values() if c.taken and not c.confirmed]
        if not new:
            return
        if not self._current():
            raise Leave
        for child in new:
            child.confirmed = True
            _send(child, FRESH)
        # By this, launchers that wait see that the others before them are served.
        try:
            os.utime(self._place.socket)
        except OSError as error:
            raise Leave from error
        self._fork_ahead(1)
        self._due = time.monotonic() + _LULL

    def _refilled(self) -> bool:
        """Have as many wait as usual again, once no session has begun for a moment."""
        if self._due is None or time.monotonic() < self._due:
            return False
        self._due = None
        self._fork_ahead(_SPARE)
        return True

    def _fork_ahead(self, wanted: int) -> None:
        """Have so many wait, and more as long as some launcher has nobody yet."""
        came = select.poll()
        came.register(self._listener, select.POLLIN)
        while (spare := len(self._spare())) < wanted or (
            spare < _MOST_SPARE and came.poll(0)
        ):
            self._fork()

    def _spare(self) -> list[Child]:
        return [child for child in self._children.values() if not child.taken]

    def _dismiss(self) -> None:
        """Nothing happens: those that a crowd was served by need not wait on."""
        for child in self._spare()[_SPARE:]:
            child.taken = child.confirmed = True
            child.link.shutdown(socket.SHUT_RDWR)

    def _told(self, child: Child, text: bytes) -> None:
        """What one found out about a config all others may know."""
        self._configs.told(text[1:])
        for other in self._children.values():
            if not other.taken and other is not child:
                _send(other, text)

    def _answer(self, child: Child, text: bytes, given: list[int]) -> None:
        try:
            reply, passed = self._pool.answer(text, given)
            socket.send_fds(child.link, [reply], passed)
        except OSError:
            # A session that ended, or that does not read what it asked for.
            child.link.shutdown(socket.SHUT_RDWR)

    def _ended(self, fd: int, child: Child) -> None:
        self._poll.unregister(fd)
        del self._children[fd]
        child.link.close()
        if child.admitted:
            self._since = time.monotonic()
        if child.taken:
            return
        self._unused += 1
        if self._unused >= _SHORT_LIVED:
            raise Leave
        self._fork_ahead(1)

    def _withdraw(self) -> None:
        """Leave nothing that could be taken for somebody who listens."""
        shutil.rmtree(self._stage, ignore_errors=True)
        _unlink_own(self._place.socket, self._socket)
        _unlink_own(self._place.lock, os.fstat(LOCK))


def _send(child: Child, text: bytes) -> None:
    """One that ended says so itself; one that does not read does without."""
    with suppress(OSError):
        child.link.send(text, socket.MSG_DONTWAIT)


def _unlink_own(path: bytes, own: os.stat_result) -> None:
    with suppress(OSError):  # the folder is gone, or nobody can write to it
        if os.path.samestat(os.lstat(path), own):
            os.unlink(path)


def _listen(place: Place) -> socket.socket:
    """A socket that can be reached from the first moment that it has its name."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.setblocking(False)
    new = place.socket + b".new"
    with suppress(FileNotFoundError):
        os.unlink(new)
    folder = place.enter()
    try:
        listener.bind(place.address(folder, b".new"))
    finally:
        os.close(folder)
    listener.listen(_BACKLOG)
    os.rename(new, place.socket)
    return listener


def _stage(place: Place) -> str:
    """What is rehearsed on, new: an earlier resident may have left its own."""
    path = os.fsdecode(place.socket) + ".stage"
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path, 0o700)
    prepare(path)
    return path


def _close_all_but(*kept: int) -> None:
    last = 2
    for fd in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        os.closerange(last + 1, fd)
        last = fd


def main(path: str) -> None:
    """Be the resident that listens at ``path``, if this process agrees with that name."""
    asked = os.fsencode(path)
    place = place_in(os.path.dirname(asked), dict(posix.environ))
    if place.socket != asked:
        return
    os.closerange(LISTENING + 1, os.sysconf("SC_OPEN_MAX"))
    for fd in (LOCK, LISTENING):
        os.set_inheritable(fd, False)
    os.chdir("/")
    os.umask(0o077)
    forget_login()
    with open("/proc/self/comm", "wb") as name:
        name.write(b"annexshell-warm")
    installation = Installation()
    load_everything()
    installation.loaded()
    stage = _stage(place)
    # What it computes once is known to all processes that are forked.
    session.rehearse(stage)
    pages.trim()
    # What is loaded stays; writing to it for the collector's sake would copy its pages.
    gc.disable()
    gc.freeze()
    Resident(place, installation, Pool(), stage).run()
