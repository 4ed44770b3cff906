"""One session in a process that was forked for it: what a cold start does, without the start.

Until it was told to go on, its standard descriptors lead to /dev/null, so nothing that the
restricted shell does can reach the client. A session that would be refused ends here
unheard, and the launcher refuses it cold: one place for each refusal.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import select
import signal
import socket
import struct
import sys
import traceback

from annexshell.cli import shell
from annexshell.cli.commandline import Builtin, understand
from annexshell.cli.commands import COMMANDS, Host
from annexshell.cli.environment import become
from annexshell.errors import AnnexshellError
from annexshell.repository import config as gitconfig
from annexshell.repository.config import GitConfig
from annexshell.repository.gitlib import forget_home
from annexshell.repository.keptconfig import KeptConfigs
from annexshell.serve import rehearsal
from annexshell.serve.stage import GATEWAY
from annexshell.warm import pages
from annexshell.warm.launcher import GO, HERE, READY
from annexshell.warm.settings import allows_warm, warm_idle
from annexshell.warm.standing import Standing, standing

TAKEN, FRESH, ADMITTED, NEWS, PAGES = b"T", b"F", b"A", b"N", b"P"
"""To the resident: a launcher was accepted. Its answer, where all is as it was loaded. Then:
the session is served, with its warm-idle. And what begins all that the two tell each other
of a repository's config, at any time, and what a rehearsal found out for `pages`."""
_REQUEST = 1 << 22
"""More than a message can have,"""
_MESSAGE = 1 << 16
"""and one of the resident's."""
_PATIENCE = 10.0
_DESCRIPTORS = 4


class Unfit(BaseException):
    """This session is not for us. No Exception: nobody on the way is to handle it."""


class Taken(Host):
    """The session of a launcher, once it is admitted."""

    def __init__(self, link: socket.socket, resident: Resident) -> None:
        self._link = link
        self._resident = resident
        self._given: list[int] = []
        self.admitted = False

    def receive(self, identity: bytes, like: Standing) -> None:
        """Take on what the launcher is and has. Raises Unfit and OSError."""
        uid, pid = _peer(self._link)
        if uid != (os.geteuid(), os.getegid()):
            raise Unfit
        self._link.send(HERE)
        text, self._given, flags, _ = socket.recv_fds(
            self._link, _REQUEST, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or not text:
            raise Unfit
        # What another version wrote is not even read.
        if not text.startswith(identity) or len(self._given) != _DESCRIPTORS:
            raise Unfit
        words, environ = marshal.loads(text[len(identity) :])
        found, umask = standing(pid)
        if found != like:
            raise Unfit
        sys.argv = [os.fsdecode(word) for word in words]
        become(environ)
        forget_home()
        os.umask(umask)
        os.fchdir(self._given[-1])

    def admit(self, config: GitConfig) -> int:
        """See `Host`: from here on the client's descriptors are ours."""
        if not allows_warm(config):
            raise Unfit
        self._resident.confirm()
        self._link.send(READY + b"%d" % os.getpid())
        if self._link.recv(1) != GO:
            raise Unfit
        for target, fd in enumerate(self._given[:3]):
            os.dup2(fd, target)
        for fd in self._given:
            os.close(fd)
        self.admitted = True
        self._end_with_launcher()
        return self._resident.admitted(warm_idle(config))

    def _end_with_launcher(self) -> None:
        """SIGTERM when the launcher ends: to whoever ends it, it is the session."""
        fd = self._link.fileno()
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGTERM)
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        self._link.settimeout(None)
        fcntl.fcntl(fd, fcntl.F_SETFL, (flags & ~os.O_NONBLOCK) | os.O_ASYNC)
        poll = select.poll()
        poll.register(fd, select.POLLHUP)
        if poll.poll(0):
            os._exit(1)  # It was just too early for that.

    def tell(self, code: int) -> None:
        """The launcher ends with this exit status, if it is still there."""
        try:
            self._link.send(bytes((code & 0xFF,)))
        except OSError:
            return  # killed: nobody asks for it


class Resident:
    """The process that forked us, as the session talks to it by ``keeper``."""

    def __init__(self, keeper: socket.socket, configs: KeptConfigs) -> None:
        self._keeper = keeper
        self._configs = configs
        self._telling = keeper.dup()  # the session may close the other one
        configs.tell = self._tell
        gitconfig.known = configs.answer

    def fileno(self) -> int:
        return self._keeper.fileno()

    def _tell(self, news: bytes) -> None:
        try:
            self._telling.send(NEWS + news, socket.MSG_DONTWAIT)
        except OSError:
            return  # it is gone or busy: somebody else will find out the same

    def rehearsed(self) -> None:
        """Tell what memory that took, if it can be known: others need not rehearse."""
        try:
            told = PAGES + pages.used()
            if len(told) <= _MESSAGE:
                # What is cut off nobody could use, not even to begin with.
                self._telling.send(told, socket.MSG_DONTWAIT)
        except (OSError, ValueError):
            return  # they rehearse as well

    def hear(self) -> bytes:
        """What it says that is no news; empty if it has ended. Raises OSError."""
        while (text := self._keeper.recv(_MESSAGE))[:1] == NEWS:
            self._configs.told(text[1:])
            if not self._said_more():
                break
        return text

    def _said_more(self) -> bool:
        poll = select.poll()
        poll.register(self._keeper, select.POLLIN)
        return bool(poll.poll(0))

    def taken(self) -> None:
        self._keeper.send(TAKEN)
        self._keeper.settimeout(_PATIENCE)

    def confirm(self) -> None:
        """Wait until it has found all as it was loaded. Raises Unfit and OSError."""
        while (said := self.hear())[:1] == NEWS:
            continue
        if said != FRESH:
            raise Unfit

    def admitted(self, idle: float) -> int:
        """Say that the session is served; the descriptor for what sessions keep."""
        self._keeper.settimeout(None)
        self._keeper.send(ADMITTED + struct.pack("d", idle))
        return self._keeper.fileno()


def attend(
    listener: socket.socket,
    resident: Resident,
    identity: bytes,
    like: Standing,
    stage: str,
    known: bytes,
) -> None:
    """Wait for a launcher and serve its session; never returns.

    At ``stage`` is what `stage.prepare` made. ``known`` is what an earlier process told by
    `Resident.rehearsed`, if any did.
    """
    code, taken = 1, None
    try:
        if not _waiting(listener) and not (known and pages.populate(known)):
            rehearse(stage)
            if not known:
                resident.rehearsed()
        link = _accepted(listener, resident)
        link.settimeout(_PATIENCE)
        taken = Taken(link, resident)
        taken.receive(identity, like)
        code = _serve(taken)
    except (Unfit, OSError, KeyError, ValueError, EOFError, AnnexshellError):
        if taken is not None and taken.admitted:
            traceback.print_exc()
    except BaseException:
        traceback.print_exc()
    finally:
        if taken is not None and taken.admitted:
            sys.stdout.flush()
            sys.stderr.flush()
            taken.tell(code)
        os._exit(code)


def _serve(host: Host) -> int:
    asked = understand(sys.argv[1:], COMMANDS)
    if not isinstance(asked, Builtin) or asked.command != "p2pstdio":
        raise Unfit
    return shell.main(host)


class _Player(Host):
    """Has the restricted shell go as far as it goes before it touches the client."""

    def admit(self, config: GitConfig) -> int:
        raise Unfit


def rehearse(stage: str) -> None:
    """What can be done of a session before there is one."""
    before = dict(os.environb)
    become({**before, b"HOME": os.fsencode(stage), b"PATH": os.defpath.encode()})
    gateway = os.path.join(stage, GATEWAY)
    sys.argv = [
        "annexshell",
        "-c",
        f"git-annex-shell p2pstdio '{gateway}' {rehearsal.CLIENT.decode()}",
    ]
    try:
        standing(os.getpid())
        try:
            _serve(_Player())
        except Unfit:
            rehearsal.rehearse(stage)
    except (OSError, KeyError, AnnexshellError):
        return  # somebody took the stage away: the session is slower without it
    finally:
        become(before)


def _waiting(listener: socket.socket) -> bool:
    """Whether a launcher is there already: then there is no time for anything else."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))


def _accepted(listener: socket.socket, resident: Resident) -> socket.socket:
    """The next launcher; ends this process if the resident ends before it comes."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(resident, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if resident.fileno() in ready and not resident.hear():
            os._exit(0)
        try:
            link, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            continue
        listener.close()
        resident.taken()
        return link


def _peer(link: socket.socket) -> tuple[tuple[int, int], int]:
    """Uid and gid, and the pid, of who is at the other end."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, gid = struct.unpack("3i", raw)
    return (uid, gid), pid
