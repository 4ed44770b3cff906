"""What the code that handles content needs to know of a repository.

The config is read once. Before version 10 every lock reads it again if it changed,
because an upgrade moves the locks to other files (spec 02 §7.2).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from annexshell.errors import ShellError, StorageFailed, UnsupportedVersion
from annexshell.model.duration import time_to_hash
from annexshell.repository.config import GitConfig
from annexshell.repository.durable import sync_directory
from annexshell.repository.filelock import Locks, locks_of
from annexshell.repository.freezing import Freezer
from annexshell.repository.hooks import Hooks
from annexshell.repository.modes import Sharing
from annexshell.repository.open import Repository
from annexshell.repository.paths import AnnexPaths
from annexshell.repository.remedies import explained
from annexshell.repository.timeouts import stall_timeout

if TYPE_CHECKING:
    from types import TracebackType

_SEPARATE_LOCKS = 10
_SUPPORTED = ("8", "9", "10")
_Signature = tuple[int, int, int] | None
_GONE = (-1, -1, -1)
"""Of a config that is not there; before version 10 there is none known at first, either."""


class Annex:
    """An open repository with its settings worked out.

    Raises UnsupportedVersion where content cannot be handled safely.
    """

    paths: AnnexPaths
    locks: Locks
    sharing: Sharing
    hooks: Hooks
    freezer: Freezer
    separate_locks: bool
    """Version 10: content is locked by a file of its own, and retention exists."""
    thin: bool
    """Objects may be hard links to files that people edit."""
    fsync: bool
    secure_only: bool

    def __init__(self, repository: Repository) -> None:
        self._load(repository)
        # Before version 10 the first lock reads the config again in any case: it may have
        # changed since `repository` was opened.
        self._signature: _Signature = None
        if self.separate_locks:
            self._signature = _signature_of(self._config_file)

    def _load(self, repository: Repository) -> None:
        config = repository.config
        self._config_file = _config_file(repository)
        self.repository = repository
        self.paths = AnnexPaths.of(repository)
        self.locks = locks_of(repository)
        self.separate_locks = _version(repository) >= _SEPARATE_LOCKS
        self.thin = config.boolean("annex.thin", False) and not repository.bare
        self.fsync = config.boolean("annexshell.fsync", True)
        self.secure_only = config.boolean("annex.securehashesonly", False)
        self.sharing = Sharing.parse(config.get("core.sharedrepository"))
        self.hooks = Hooks(self.paths.git_dir, config)
        self.freezer = Freezer(
            self.sharing,
            self.hooks,
            crippled=config.boolean("annex.crippledfilesystem", False),
            separate_lock=self.separate_locks,
        )

    @property
    def config(self) -> GitConfig:
        return self.repository.config

    def refresh(self) -> Annex:
        """Read the config again if its file changed since it was last read."""
        now = _signature_of(self._config_file)
        if now != self._signature:
            self._load(self.repository.reread())
            self._signature = now
        return self

    def recheck(self) -> Annex:
        """`refresh` in the middle of a request. Raises StorageFailed."""
        try:
            return self.refresh()
        except ShellError as error:
            raise StorageFailed(
                action="reading the git config",
                where=self.repository.path,
                detail=error,
            ) from error

    def patience(self, size: int) -> float:
        """Seconds in which a transfer must move, where a peer may hash ``size`` bytes."""
        return stall_timeout(self.config) + time_to_hash(size)

    def make_directories(self, path: str) -> list[str]:
        """Make a directory under ``annex/``; returns those made. Raises OSError."""
        return self.sharing.make_directories(path, self.paths.annex_dir)

    def sync_directory(self, path: str) -> None:
        """Have the names in a directory reach the disk, if so set. Raises OSError."""
        if self.fsync:
            sync_directory(path)


class storage:
    """A block in which the operating system's errors become StorageFailed."""

    # Not made by contextlib: a request enters ten of them.
    def __init__(self, action: str, where: str) -> None:
        self._action = action
        self._where = where

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise failed(self._action, self._where, error) from error


def failed(action: str, where: str, error: OSError) -> StorageFailed:
    """What to say of an error of the operating system's."""
    return StorageFailed(
        action=action,
        where=error.filename or where,
        detail=explained(error),
    )


def unlink_quietly(path: str) -> None:
    """Unlink a file that may be gone already. Raises other OSErrors."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _version(repository: Repository) -> int:
    text = repository.config.get("annex.version") or ""
    if text in _SUPPORTED:
        return int(text)
    if not repository.uuid:
        # A gcrypt repository has no version, and is locked in the old way.
        return 0
    raise UnsupportedVersion(version=text or "(not set)", path=repository.path)


def _config_file(repository: Repository) -> str:
    return os.path.dirname(repository.annex_dir) + "/config"


def _signature_of(config: str) -> _Signature:
    try:
        found = os.stat(config)
    except FileNotFoundError:
        return _GONE
    return found.st_ino, found.st_size, found.st_mtime_ns
