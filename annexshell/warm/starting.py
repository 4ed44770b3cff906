"""A cold session starts the resident for those that come after it.

The lock of the place decides who: whoever has it hands it on to the resident, which keeps
it while it lives. Nothing else of the session is inherited: no variable but those that
programs read when they start, no descriptor, no terminal.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from annexshell.cli.commands import Host
from annexshell.warm.place import Place, read_once
from annexshell.warm.settings import allows_warm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from annexshell.repository.config import GitConfig

MOST = 8
"""Residents of one account. Each is found by sessions of one kind alone, and a client whose
locale counts, or a login with mounts of its own, can be another kind each time."""
LOCK, LISTENING = 3, 4
"""Descriptors of a resident: its lock; a pipe that it closes when it listens, or nothing."""
_BOOT = (
    "import sys; sys.path[:] = sys.argv[2:];"
    " from annexshell.warm.resident import main; main(sys.argv[1])"
)


class Starter(Host):
    """What a cold session that found no resident does once its client was greeted."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def greeted(self, config: GitConfig) -> None:
        if not allows_warm(config):
            return
        try:
            start(self._place, dict(os.environb))
        except OSError:
            # Nowhere to listen, or no more processes: all sessions start as this one did.
            return


def start(place: Place, environ: dict[bytes, bytes], listening: int = -1) -> bool:
    """Start a resident at ``place``, unless there is one; whether it was started.

    The pipe ``listening`` is closed when it can be reached. Raises OSError.
    """
    _make(place.folder)
    os.close(place.enter())
    if not sys.executable:
        return False
    lock = _locked(place.lock)
    if lock is None:
        return False
    try:
        if _crowded(place):
            os.unlink(place.lock)
            return False
        pid = os.fork()
        if pid == 0:
            _go_on(place, environ, lock, listening)
        # The process between us only keeps the resident from being our child.
        return os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(lock)


def _make(folder: bytes) -> None:
    """Have ``folder``, made in nobody else's directory. Raises OSError.

    HOME may be another user's, after su, or not be there at all.
    """
    for path in (os.path.dirname(folder), folder):
        if os.path.lexists(path):
            continue
        if os.stat(os.path.dirname(path)).st_uid != os.geteuid():
            raise PermissionError
        with suppress(FileExistsError):  # by a session that begins now as well
            os.mkdir(path, 0o700)


def _go_on(
    place: Place, environ: dict[bytes, bytes], lock: int, listening: int
) -> None:
    try:
        os.setsid()
        _spawn(place, environ, lock, listening)
        os._exit(0)
    finally:
        os._exit(1)


def _spawn(
    place: Place, environ: dict[bytes, bytes], lock: int, listening: int
) -> None:
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    wanted = {0: nothing, 1: nothing, 2: nothing, LOCK: lock}
    wanted[LISTENING] = nothing if listening < 0 else listening
    for target, fd in [(t, _above(f)) for t, f in wanted.items()]:
        os.dup2(fd, target)
    flags = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
    path = [os.path.dirname(sys.modules["annexshell"].__path__[0])]
    path += [entry for entry in sys.path if os.path.isabs(entry)]
    os.posix_spawn(
        sys.executable,
        [sys.executable, *flags, "-c", _BOOT, os.fsdecode(place.socket), *path],
        {name: environ[name] for name in read_once(environ)},
    )


def _crowded(place: Place) -> bool:
    """Whether there are more residents than may be, with ours, whose lock we have.

    Raises OSError.
    """
    names = [name for name in os.listdir(place.folder) if name.endswith(b".lock")]
    if len(names) <= MOST:
        return False
    paths = (os.path.join(place.folder, name) for name in names)
    return sum(_is_locked(path) for path in paths) > MOST


def _is_locked(path: bytes) -> bool:
    import fcntl

    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        # Shared: two that look at the same time do not count each other.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _above(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def _locked(path: bytes) -> int | None:
    """The lock of a place; None where another process has it. Raises OSError."""
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A resident that left may have removed it between the two.
        if os.path.samestat(os.fstat(fd), os.lstat(path)):
            return fd
    except (BlockingIOError, FileNotFoundError):
        os.close(fd)
        return None
    os.close(fd)
    return None
