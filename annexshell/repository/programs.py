"""Running the operator's programs: hooks and commands from git config.

Their output goes to stderr, because stdout may be the protocol. While one runs, whoever
lends a lock (annex.pidlock, spec 02 §8) keeps it, and the program is told: a git-annex in
it would otherwise wait for the lock of the process that waits for it.
"""

from __future__ import annotations

import errno
import math
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from annexshell.repository.gitprocess import inherited_environment

if TYPE_CHECKING:
    import subprocess

_STDERR = 2
_CHUNK = 1 << 16


class Lender(Protocol):
    """A lock of this process that programs it runs are to know of."""

    variable: str
    """What is set to 1 in the program's environment."""

    def lend(self) -> bool:
        """Keep it until `give_back`; False if it is not held."""

    def give_back(self) -> None: ...


LENDERS: list[Lender] = []


@contextmanager
def lent(lenders: list[Lender]) -> Iterator[list[str]]:
    """Keep those locks that are held, and name their variables, for a program's run."""
    kept = [lender for lender in list(lenders) if lender.lend()]
    try:
        yield [lender.variable for lender in kept]
    finally:
        for lender in kept:
            lender.give_back()


def run_program(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    capture: bool = False,
    timeout: float | None = None,
    most: int | None = None,
    lend: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, without input.

    With ``capture`` what it prints is in the result; if that is over ``most`` bytes it is
    killed, and OSError raised. After ``timeout`` seconds it is killed with all it started,
    and subprocess.TimeoutExpired raised. ``lend`` it our locks only if nothing else of ours
    goes on meanwhile. Raises OSError if it cannot be run.
    """
    import subprocess

    with lent(LENDERS if lend else []) as variables:
        with subprocess.Popen(
            argv,
            cwd=cwd,
            env=inherited_environment(variables) if variables else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else _STDERR,
            process_group=None if timeout is None else 0,
        ) as child:
            out = _ended(child, most, timeout)
        return subprocess.CompletedProcess(argv, child.returncode, out)


def _ended(
    child: subprocess.Popen[bytes], most: int | None, timeout: float | None
) -> bytes:
    """What a child printed; see `run_program`."""
    try:
        if most is None:
            return child.communicate(timeout=timeout)[0]
        return _limited(child, most, timeout)
    except BaseException:
        if timeout is None:
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
        raise


def _limited(child: subprocess.Popen[bytes], most: int, timeout: float | None) -> bytes:
    import subprocess

    assert child.stdout is not None
    fd, found = child.stdout.fileno(), bytearray()
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    poll = select.poll()
    poll.register(fd)
    while len(found) <= most:
        left = max(0, deadline - time.monotonic())
        if not poll.poll(None if timeout is None else left * 1000):
            raise subprocess.TimeoutExpired(child.args, timeout or 0)
        chunk = os.read(fd, _CHUNK)
        if not chunk:
            child.wait(None if timeout is None else left)
            return bytes(found)
        found += chunk
    raise OSError(errno.EFBIG, f"it printed more than {most} bytes")
