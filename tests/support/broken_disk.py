"""A server whose disk fails: a real session in a child process, on pipes.

Every call that touches the repository is counted, in the child alone; at a chosen one the
disk begins to fail, in a chosen way. What is heard from the server, and what it leaves, is
for the test to judge.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import logging
import os
import select
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import annexshell.cli.p2pstdio
import annexshell.repository.git
import annexshell.serve.start  # noqa: F401  loaded once, not in every child
from annexshell.cli.shell import main
from tests.support.world import remove_tree

READING = (
    *("fcntl", "fstat", "listdir", "lseek", "lstat", "pread", "preadv", "read"),
    *("readlink", "scandir", "sendfile", "splice", "stat", "statvfs"),
)
CHANGING = (
    *("chmod", "fchmod", "fsync", "ftruncate", "link", "mkdir", "open", "rename"),
    *("rmdir", "symlink", "unlink", "utime", "write"),
)
DIED = 99
_LIMIT = 60.0
_MANY = 2000


@dataclass(frozen=True)
class Fault:
    """What goes wrong: an error (0 is death), at one call or from one on."""

    name: str
    error: int
    calls: tuple[str, ...] = READING + CHANGING
    lasting: bool = False


FAULTS = (
    Fault("EIO", errno.EIO),
    Fault("EACCES", errno.EACCES),
    Fault("disk full", errno.ENOSPC, CHANGING, lasting=True),
    Fault("read-only", errno.EROFS, CHANGING, lasting=True),
    Fault("quota", errno.EDQUOT, ("open", "write", "mkdir", "rename"), lasting=True),
    Fault("kill", 0),
)
"""``unlink`` and the like fail on a full disk too: file systems that copy on write do so."""


class Disk:
    """Counts the calls below ``top`` in this process, and breaks them from ``step`` on."""

    def __init__(self, top: str, fault: Fault, step: int) -> None:
        self._top = top
        self._fault = fault
        self._left = step
        self._readlink = os.readlink
        self.reached = False

    def break_down(self) -> None:
        """From here on calls are counted; for a process that will not live long."""
        for name in self._fault.calls:
            module = fcntl if name == "fcntl" else os
            setattr(module, name, self._fragile(name, getattr(module, name)))
        builtins.open = self._fragile("open()", builtins.open)

    def _fragile(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        at = 1 if name == "sendfile" else 0

        def call(*args: Any, **kwargs: Any) -> Any:
            target = args[at] if len(args) > at else "."
            if self._concerns(target) and self._fails(name, args):
                if not self._fault.error:
                    os._exit(DIED)
                text = os.strerror(self._fault.error)
                raise OSError(self._fault.error, text, self._path(target))
            return real(*args, **kwargs)

        return call

    def _path(self, target: Any) -> str:
        if isinstance(target, int):
            return self._readlink(f"/proc/self/fd/{target}")
        return os.fsdecode(target)

    def _concerns(self, target: Any) -> bool:
        try:
            return self._path(target).startswith(self._top)
        except OSError:
            return False  # a descriptor that is not open

    def _fails(self, name: str, args: tuple[Any, ...]) -> bool:
        if "stat" not in self._fault.calls and not _changes(name, args):
            return False
        self._left -= 1
        self.reached = self.reached or self._left < 0
        return self._left == -1 or (self._left < 0 and self._fault.lasting)


class Trickle:
    """A disk that takes half of what is written to it, and never more than it must."""

    reached = True

    def break_down(self) -> None:
        real = os.write

        def write(fd: int, data: Any, /) -> int:
            view = memoryview(data)
            return real(fd, view[: (len(view) + 1) // 2])

        os.write = write


class Interruptions:
    """Signals that interrupt whatever call is under way, several thousand a second."""

    reached = True

    def break_down(self) -> None:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)


Trouble = Disk | Trickle | Interruptions


def _changes(name: str, args: tuple[Any, ...]) -> bool:
    """Whether the call fails on a full or read-only disk."""
    if name == "open":
        return bool(args[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    if name == "open()":
        return len(args) > 1 and "r" not in args[1]
    return True


class Conversation:
    """What is said to a child that runs our program with ``words``."""

    def __init__(self, words: Sequence[str], disk: Trouble | None = None) -> None:
        ours, theirs = os.pipe()
        answers, told = os.pipe()
        complaints, said = os.pipe()
        seen, tell = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _become_server(words, disk, (ours, told, said), tell)
        for fd in (ours, told, said, tell):
            os.close(fd)
        self._write, self._read, self._errors = theirs, answers, complaints
        self._seen = seen
        self._held = b""

    def say(self, raw: bytes) -> None:
        try:
            os.write(self._write, raw)
        except BrokenPipeError:
            return  # it died; what was heard tells

    def hear(self) -> bytes:
        """The next line; empty if the server has ended."""
        while b"\n" not in self._held:
            ready, _, _ = select.select([self._read], [], [], _LIMIT)
            assert ready, "the server hangs"
            raw = os.read(self._read, 1 << 16)
            if not raw:
                return b""
            self._held += raw
        line, _, self._held = self._held.partition(b"\n")
        return line

    def take(self, count: int) -> bytes:
        while len(self._held) < count:
            raw = os.read(self._read, 1 << 16)
            if not raw:
                break
            self._held += raw
        taken, self._held = self._held[:count], self._held[count:]
        return taken

    def ask(self, line: bytes) -> bytes:
        self.say(line + b"\n")
        return self.hear()

    def rest(self) -> bytes:
        """Say no more, and hear all there is."""
        self._close()
        while raw := os.read(self._read, 1 << 16):
            self._held += raw
        return self._held

    def _close(self) -> None:
        fd, self._write = self._write, -1
        if fd >= 0:
            os.close(fd)

    def end(self) -> tuple[int, str, bool]:
        """The exit code, what it complained, and whether the fault was reached."""
        self._close()
        with open(self._errors, "rb") as errors, open(self._read, "rb"):
            text = errors.read().decode(errors="replace")
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        with open(self._seen, "rb") as seen:
            reached = code == DIED or seen.read() == b"1"
        return code, text, reached


def _become_server(
    words: Sequence[str], disk: Trouble | None, stdio: tuple[int, int, int], tell: int
) -> None:
    code = 70
    try:
        fcntl.fcntl(tell, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        for fd, target in enumerate(stdio):
            os.dup2(target, fd)
        # Our own copies of the parent's ends, and pytest's files, must not stay open.
        os.closerange(3, tell)
        os.closerange(tell + 1, 256)
        logging.getLogger().handlers.clear()  # the test run's own
        sys.stderr = open(2, "w", closefd=False)
        sys.argv = ["annexshell", *words]
        if disk is not None:
            disk.break_down()
        code = main()
        if disk is not None and disk.reached:
            os.write(tell, b"1")
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def every_fault(
    template: Path,
    work: Path,
    fault: Fault,
    play: Callable[[Disk], tuple[int, str, bool]],
    *,
    first: int = 0,
    stride: int = 1,
) -> Iterator[tuple[int, str]]:
    """``play`` with a copy of ``template`` at ``work``, on a disk that fails ever later.

    It returns what `Conversation.end` does. Yields step and complaints after each, until
    one gets through unharmed. With a ``stride`` only every nth call is tried.
    """
    for step in range(first, _MANY, stride):
        renew(template, work)
        code, complaints, reached = play(Disk(str(work), fault, step))
        if not reached:
            assert code == 0, complaints
            return
        yield step, complaints
    raise AssertionError("too many steps")


def renew(template: Path, work: Path) -> None:
    """Make ``work`` a fresh copy of ``template``."""
    if work.exists():
        remove_tree(work)
    shutil.copytree(template, work, symlinks=True)
