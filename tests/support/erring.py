"""Every operating system call on a repository failing in turn, in a child process.

Unlike `crashing`, the program lives on: what it says of the failure is looked at.
"""

from __future__ import annotations

import builtins
import fcntl
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

BY_PATH = (
    *("chmod", "link", "listdir", "lstat", "mkdir", "open", "readlink"),
    *("rename", "rmdir", "scandir", "stat", "statvfs", "symlink", "unlink", "utime"),
)
"""Calls whose first argument may be a path, or a descriptor."""
BY_DESCRIPTOR = (
    *("fchmod", "fstat", "fsync", "ftruncate", "lseek", "pread", "read", "sendfile"),
    *("splice", "write"),
)
_MANY = 2000
_NOT_REACHED = 98


class Ended(NamedTuple):
    """A program's end: its exit code and what it wrote."""

    code: int
    out: bytes
    err: bytes


class _Arming:
    """Counts the calls that concern ``top``; the one numbered ``step`` fails."""

    def __init__(self, top: str, step: int, code: int) -> None:
        self.top, self.left, self.code = os.fsencode(top), step, code
        self.reached = False

    def concerns(self, what: object) -> bool:
        if isinstance(what, int):
            try:
                what = os.fsencode(_readlink(f"/proc/self/fd/{what}"))
            except OSError:
                return False
        if not isinstance(what, (str, bytes, os.PathLike)):
            return False
        return os.fsencode(what).startswith(self.top)

    def check(self, what: object) -> None:
        if self.reached or not self.concerns(what):
            return
        if self.left == 0:
            self.reached = True
            text = what if isinstance(what, (str, bytes)) else None
            raise OSError(self.code, os.strerror(self.code), text)
        self.left -= 1


_readlink = os.readlink


def _wrapped(real: Callable[..., Any], arming: _Arming, at: int) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        arming.check(args[at] if len(args) > at else None)
        return real(*args, **kwargs)

    return call


def _arm(arming: _Arming) -> None:
    for name in (*BY_PATH, *BY_DESCRIPTOR):
        at = 1 if name == "sendfile" else 0
        setattr(os, name, _wrapped(getattr(os, name), arming, at))
    builtins.open = _wrapped(builtins.open, arming, 0)
    fcntl.fcntl = _wrapped(fcntl.fcntl, arming, 0)


class Failing:
    """A program whose calls on ``top`` can be made to fail; it writes to ``scratch``."""

    def __init__(
        self, program: Callable[[], int], top: Path, scratch: Path, said: bytes
    ) -> None:
        """``said``, at most what a pipe holds, is the program's input."""
        self._program = program
        self._top = os.fspath(top)
        self._scratch = scratch
        self._said = said

    def every(self, *codes: int, first: int = 0, stride: int = 1) -> Iterator[Ended]:
        """Run it once for each call that it makes; that one fails with one of ``codes``.

        With ``stride`` only every so manieth call. Yields after each run; ends with the
        first one in which nothing failed.
        """
        for step in range(first, _MANY, stride):
            ended = self.run(codes[step // stride % len(codes)], step)
            if ended.code == _NOT_REACHED:
                return
            yield ended
        raise AssertionError("too many calls")

    def run(self, code: int, step: int) -> Ended:
        """Run it once; call number ``step`` fails, if there are so many."""
        reading, writing = os.pipe()
        os.write(writing, self._said)
        os.close(writing)
        pid = os.fork()
        if pid == 0:
            self._child(reading, _Arming(self._top, step, code))
        os.close(reading)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out, err = (self._scratch / name for name in ("out", "err"))
        return Ended(status, out.read_bytes(), err.read_bytes())

    def _child(self, reading: int, arming: _Arming) -> None:
        status = 97
        try:
            self._take_stdio(reading)
            _arm(arming)
            status = self._program()
            if not arming.reached:
                status = _NOT_REACHED
        finally:
            os._exit(status)

    def _take_stdio(self, reading: int) -> None:
        logging.getLogger().handlers.clear()  # the test run's own
        os.dup2(reading, 0)
        for fd, name in ((1, "out"), (2, "err")):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            os.dup2(os.open(self._scratch / name, flags, 0o600), fd)
        sys.stderr = open(2, "w", closefd=False)  # logging's, instead of the test run's
