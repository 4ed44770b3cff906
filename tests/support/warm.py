"""Warm starts in tests: a resident of the test's own, which never outlives the test.

    with Residents(place) as residents:
        env = {..., **residents.variables}
        residents.start(env)          # loaded and listening when this returns
        ... run `residents.program` with env ...
        assert is_warm(pid)           # of a program whose greeting was heard

`variables` go into the environment of every program that is to find the resident. What else
the environment says about Python, locale and time zone has to be the same for both.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import inotify_simple

from annexshell.warm.starting import LOCK
from tests.support.process import LIMIT, descendants
from tests.support.world import ROOT, write_entry_point

_START = f"""
import posix, sys
sys.path.insert(0, {str(ROOT)!r})
from annexshell.warm.place import place_for
from annexshell.warm.starting import start
sys.exit(not start(place_for(posix.environ), posix.environ, int(sys.argv[1])))
"""


class Residents:
    """A runtime directory at ``place``, and the residents that listen in it."""

    def __init__(self, place: Path) -> None:
        place.mkdir(mode=0o700)
        self.folder = place / "annexshell"
        self.folder.mkdir(mode=0o700)
        self.program = place / "launcher"
        write_entry_point(self.program, "annexshell.warm.launcher")
        self.variables = {"XDG_RUNTIME_DIR": str(place)}

    def __enter__(self) -> Residents:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def sockets(self) -> list[Path]:
        """Where somebody listens, or did."""
        return [path for path in self.folder.iterdir() if path.is_socket()]

    def start(self, env: Mapping[str, str]) -> int:
        """Start a resident and wait until it listens; its pid."""
        reading, writing = os.pipe()
        try:
            subprocess.run(
                [sys.executable, "-c", _START, str(writing)],
                env={**env, **self.variables},
                pass_fds=[writing],
                check=True,
                timeout=LIMIT,
            )
            os.close(writing)
            assert select.select([reading], [], [], LIMIT)[0], "it never listened"
        finally:
            os.close(reading)
        (pid,) = self.pids()
        return pid

    @contextlib.contextmanager
    def awaiting(self) -> Iterator[None]:
        """Something in this block starts a resident: it listens when the block is left."""
        with inotify_simple.INotify() as watch:
            watch.add_watch(str(self.folder), inotify_simple.flags.MOVED_TO)
            yield
            assert watch.read(timeout=int(LIMIT * 1000)), "no resident came to listen"

    def pids(self) -> list[int]:
        """The residents that listen."""
        found = (_listener(path) for path in self.sockets())
        return [pid for pid in found if pid is not None]

    def stop(self) -> None:
        """Kill them all, those that do not listen yet and all sessions, and see them end."""
        for pid in self._holders():
            # Stopped, it forks no more.
            with contextlib.suppress(ProcessLookupError):  # it just left
                os.kill(pid, signal.SIGSTOP)
                for one in (*descendants(pid), pid):
                    kill(one)

    def _holders(self) -> list[int]:
        """The residents that have the lock of their place."""
        locks = {os.fspath(path) for path in self.folder.glob("*.lock")}
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # it just ended, or is not ours
                if os.readlink(f"/proc/{pid}/fd/{LOCK}") in locks:
                    found.append(int(pid))
        return found


def kill(pid: int) -> None:
    """Kill one process, and see it end."""
    with contextlib.suppress(ProcessLookupError):  # it just ended
        fd = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            assert ended(fd), pid
        finally:
            os.close(fd)


def ended(pidfd: int) -> bool:
    """Whether a process ends within the limit."""
    return bool(select.select([pidfd], [], [], LIMIT)[0])


def is_warm(pid: int) -> bool:
    """Whether a launcher handed its session over, of which something was heard already.

    Its stdout is another process's then, and is closed here a moment later.
    """
    try:
        stdout = os.readlink(f"/proc/{pid}/fd/1")
    except FileNotFoundError:
        return True
    own = {pid, *descendants(pid)}
    for other in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):  # it just ended, or is not ours
            if other not in own and os.readlink(f"/proc/{other}/fd/1") == stdout:
                return True
    return False


def sessions_of(resident: int) -> list[int]:
    """The processes that serve a session now; the one that waits has no stderr yet."""
    found = []
    for pid in descendants(resident):
        with contextlib.suppress(OSError):  # it just ended
            if os.readlink(f"/proc/{pid}/fd/2") != os.devnull:
                found.append(pid)
    return found


def _listener(path: Path) -> int | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(LIMIT)
        try:
            folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
            try:
                link.connect(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", raw)[0])
