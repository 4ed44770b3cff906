"""The resident process that warm sessions come from, in a runtime directory of the bench.

It is found by the socket it listens on, and a session is warm when one of its processes holds
that session's pipes: nothing is taken for warm because a setting says so.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench import processes
from tests.support.session import Session

_CREDENTIALS = struct.calcsize("3i")
_TRIES = 20
"""Sessions until one must be warm; a cold one takes longer than a resident to start."""
_LIMIT = 10_000
"""Milliseconds for a resident to end."""


class NoResident(Exception):
    """Sessions that should be warm are not."""


@dataclass(frozen=True)
class Resident:
    """A resident process by its pid."""

    pid: int

    def sessions(self, session: Session) -> list[int]:
        """The processes that serve a session, none of them the launcher."""
        assert session.process.stdout is not None
        inode = os.fstat(session.process.stdout.fileno()).st_ino
        members = processes.tree(self.pid)[1:]
        serving = [pid for pid in members if processes.holds(pid, inode)]
        return list(dict.fromkeys(sum(map(processes.tree, serving), [])))

    def clocks(self) -> dict[int, float]:
        """Processor seconds of the resident and of all that it started and lives.

        Without its ended children: of those Linux tells only in steps of 10 ms.
        """
        found = processes.clocks(processes.tree(self.pid)[1:])
        with suppress(OSError):  # it has ended, which its next session will tell
            found[self.pid] = processes.own_cpu(self.pid)
        return found

    def end(self) -> None:
        """End it, as an operator would; what outlives that is killed."""
        with suppress(ProcessLookupError):  # it left by itself
            descriptor = os.pidfd_open(self.pid)
            try:
                for number in (signal.SIGTERM, signal.SIGKILL):
                    signal.pidfd_send_signal(descriptor, number)
                    watched = select.poll()
                    watched.register(descriptor, select.POLLIN)
                    if watched.poll(_LIMIT):
                        return
            finally:
                os.close(descriptor)


def listeners(runtime: Path) -> set[int]:
    """The processes that listen on sockets in a folder of ``runtime``."""
    return {pid for path in runtime.glob("*/*") if (pid := _listener(path))}


def _listener(path: Path) -> int | None:
    """Who listens on a socket; None if nobody does, or if it is none."""
    if not path.is_socket():
        return None
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            # By the folder's descriptor: an address has room for 108 bytes.
            link.connect(f"/proc/self/fd/{folder}/{path.name}")
            who = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS)
            return int(struct.unpack("3i", who)[0])
    except (ConnectionRefusedError, FileNotFoundError):
        return None
    finally:
        os.close(folder)


def find_resident(runtime: Path) -> Resident | None:
    """The process that listens; where two do, one is about to leave: not yet known which."""
    found = listeners(runtime)
    return Resident(found.pop()) if len(found) == 1 else None


@contextmanager
def resident(runtime: Path, open_session: Callable[[], Session]) -> Iterator[Resident]:
    """Have a resident for the block; ``open_session`` opens one that may be warm.

    Raises NoResident.
    """
    try:
        yield _started(runtime, open_session)
    finally:
        for pid in listeners(runtime):
            Resident(pid).end()


def _started(runtime: Path, open_session: Callable[[], Session]) -> Resident:
    said = ""
    for _ in range(_TRIES):
        with open_session() as session:
            session.greet()
            found = find_resident(runtime)
            if found is not None and found.sessions(session):
                assert session.end().code == 0, session.stderr
                return found
            said = session.end().stderr.decode(errors="replace")
    raise NoResident(
        f"no resident process took any of {_TRIES} sessions over (its directory would be"
        f" {runtime}/annexshell); measure with --cold, or mend it. The last said: {said!r}"
    )
