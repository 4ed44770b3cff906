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
from annexshell.repository.config import GitConfig
from annexshell.repository.gitlib import forget_home
from annexshell.serve.rehearsal import rehearse
from annexshell.warm.launcher import GO, HERE, READY
from annexshell.warm.settings import allows_warm, warm_idle
from annexshell.warm.standing import Standing, standing

TAKEN, FRESH = b"T", b"F"
"""To the resident: a launcher was accepted. Its answer, where all is as it was loaded."""
_REQUEST = 1 << 22
"""More than a message can have."""
_PATIENCE = 10.0
_DESCRIPTORS = 4


class Unfit(BaseException):
    """This session is not for us. No Exception: nobody on the way is to handle it."""


class Taken(Host):
    """The session of a launcher, once it is admitted."""

    def __init__(self, link: socket.socket, keeper: socket.socket) -> None:
        self._link = link
        self._keeper = keeper
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
        same, words, environ = marshal.loads(text)
        if same != identity or len(self._given) != _DESCRIPTORS:
            raise Unfit
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
        if not allows_warm(config) or self._keeper.recv(1) != FRESH:
            raise Unfit
        self._link.send(READY + b"%d" % os.getpid())
        if self._link.recv(1) != GO:
            raise Unfit
        for target, fd in enumerate(self._given[:3]):
            os.dup2(fd, target)
        for fd in self._given:
            os.close(fd)
        self.admitted = True
        self._end_with_launcher()
        self._keeper.settimeout(None)
        self._keeper.send(struct.pack("d", warm_idle(config)))
        return self._keeper.fileno()

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


def attend(
    listener: socket.socket, keeper: socket.socket, identity: bytes, like: Standing
) -> None:
    """Wait for a launcher and serve its session; never returns."""
    code, taken = 1, None
    try:
        rehearse()
        standing(os.getpid())
        link = _accepted(listener, keeper)
        link.settimeout(_PATIENCE)
        keeper.settimeout(_PATIENCE)
        taken = Taken(link, keeper)
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


def _serve(taken: Taken) -> int:
    asked = understand(sys.argv[1:], COMMANDS)
    if not isinstance(asked, Builtin) or asked.command != "p2pstdio":
        raise Unfit
    return shell.main(taken)


def _accepted(listener: socket.socket, keeper: socket.socket) -> socket.socket:
    """The next launcher; ends this process if the resident ends before it comes."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(keeper, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if keeper.fileno() in ready:
            os._exit(0)
        try:
            link, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            continue
        listener.close()
        keeper.send(TAKEN)
        return link


def _peer(link: socket.socket) -> tuple[tuple[int, int], int]:
    """Uid and gid, and the pid, of who is at the other end."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, gid = struct.unpack("3i", raw)
    return (uid, gid), pid
