"""Shared ssh connections, kept as git-annex keeps them (spec 01 §7.3).

The socket's lock file is held shared while a connection may use the socket. Whoever can
have it exclusively at the end is the last user and stops the master.
"""

from __future__ import annotations

import os

from annexshell.errors import LockTimeout
from annexshell.remotes.recipes import SshHost
from annexshell.remotes.sshcommand import CACHING, socket_path
from annexshell.repository.filelock import FileLock, try_lock, wait_lock
from annexshell.repository.open import Repository

_WAIT = 5.0
"""Seconds to wait for another process that is stopping the same master."""


class SharedConnection:
    """The right to use the shared connection to one host."""

    def __init__(self, socket: str, lock: FileLock) -> None:
        self.socket = socket
        self._lock = lock

    def stop_command(self) -> list[str] | None:
        """Give the right back; what to run if nobody else has it, None otherwise.

        The command is to be run in the directory of `socket`.
        """
        path = self._lock.path
        self._lock.close()
        last = try_lock(path, exclusive=True)
        if last is None or not os.path.exists(self.socket):
            if last is not None:
                last.close()
            return None
        self._lock = last
        name = os.path.basename(self.socket)
        return ["ssh", "-O", "stop", "-S", name, *CACHING, "localhost"]

    def close(self) -> None:
        self._lock.close()


def share(repository: Repository, host: SshHost) -> SharedConnection | None:
    """The shared connection to ``host``; None where sharing is off or not possible."""
    config = repository.config
    if not config.boolean("annex.sshcaching", True):
        return None
    if config.boolean("annex.crippledfilesystem", False):
        return None
    if config.boolean("annex.pidlock", False):
        # Locks cannot be relied on there, and one for all would be held all the time.
        return None
    directory = os.path.join(repository.annex_dir, "ssh")
    socket = socket_path(directory, host)
    if socket is None:
        return None
    try:
        os.makedirs(directory, exist_ok=True)
        lock = wait_lock(socket + ".lock", exclusive=False, timeout=_WAIT)
    except (OSError, LockTimeout):
        # A gateway that cannot write there still works, connection by connection.
        return None
    return SharedConnection(socket, lock)
