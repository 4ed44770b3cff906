"""rsync as the other end of a client's rsync: its words, its process (spec 01 §1.8).

The words are ours; of what the client asks for only a bandwidth limit is passed on, and
only if it is one. No shell is involved, and a server's rsync takes a path as it is,
wildcards and all. rsync inherits stdin, stdout and stderr, which are the connection, and no
other descriptor but those it is given on purpose.
"""

from __future__ import annotations

import math
import os
import re
import resource
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from annexshell.cli.errors import RsyncNotRun

_SERVER = ("rsync", "--server", "-t", "--inplace", "-e.Lsf", ".")
_BANDWIDTH = re.compile(
    r"--bwlimit=[0-9]{1,18}(\.[0-9]{1,9})?([bB]|[kKmMgGtTpP]([iI]?[bB])?)?"
)
_LONGEST = 2.0**31 - 1
"""Seconds, which rsync counts in an int; more are no limit."""
_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def sender_words(
    path: str, options: Iterable[str], patience: float = math.inf
) -> list[str]:
    """The command line that sends the file ``path``.

    rsync ends once the client has been silent for ``patience`` seconds.
    """
    return [*_SERVER, "--sender", *_timeout(patience), *_limits(options), path]


def receiver_words(
    path: str, options: Iterable[str], patience: float = math.inf
) -> list[str]:
    """The command line that receives into the file ``path``, likewise."""
    return [*_SERVER, *_timeout(patience), *_limits(options), path]


def _timeout(patience: float) -> list[str]:
    return [f"--timeout={math.ceil(patience)}"] if patience < _LONGEST else []


def _limits(options: Iterable[str]) -> list[str]:
    return [option for option in options if _BANDWIDTH.fullmatch(option)]


def run_rsync(
    words: list[str], *, inherit: Sequence[int] = (), largest: int | None = None
) -> int:
    """Run rsync on our stdin and stdout until it ends; its exit code.

    It keeps the descriptors ``inherit`` open, and can make no file larger than ``largest``
    bytes. A signal that would end us ends rsync instead. Raises RsyncNotRun.
    """
    alive, theirs = os.pipe()
    with open(alive, "rb") as last, _handing_on() as started:
        try:
            pid = started(_spawn(words, [*inherit, theirs], largest))
        finally:
            os.close(theirs)
        # A receiving rsync is two processes, and the one that writes the file is not our
        # child. The pipe ends with the last of them.
        last.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def _spawn(words: list[str], inherit: Sequence[int], largest: int | None) -> int:
    with _file_size(largest):
        for fd in inherit:
            os.set_inheritable(fd, True)
        try:
            return os.posix_spawnp(
                words[0],
                words,
                os.environ,
                # Python ignores SIGPIPE, and who is started ignores what its parent does.
                setsigdef=[signal.SIGPIPE],
                setsigmask=[],
            )
        except OSError as error:
            raise RsyncNotRun(detail=error.strerror) from error
        finally:
            for fd in inherit:
                os.set_inheritable(fd, False)


@contextmanager
def _file_size(largest: int | None) -> Iterator[None]:
    """Let programs started meanwhile make no file larger than this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limits = (soft, largest)
    given = [n for n in limits if n is not None and n != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_FSIZE, (min(given, default=soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _handing_on() -> Iterator[Callable[[int], int]]:
    """Signals that would end us go to the process named by a call of what is yielded.

    Until then they wait, so that none can end us alone.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    found = {number: signal.getsignal(number) for number in _ENDINGS}

    def started(pid: int) -> int:
        for number in _ENDINGS:
            signal.signal(number, lambda number, frame: os.kill(pid, number))
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    try:
        yield started
    finally:
        for number, handler in found.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
