"""Take write permission from objects and their directories, and give it back for a moment.

Spec 02 §5.1 to §5.4. Two processes that work in one object directory freeze it under each
other's feet, so whatever is done there goes through `Freezer.persist`.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from typing import TypeVar

from annexshell.repository.durable import Closing
from annexshell.repository.hooks import Hooks
from annexshell.repository.modes import Sharing, chmod_quietly

_T = TypeVar("_T")
_PAUSES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds to wait before each new attempt (spec 02 §5.2)."""


class Freezer:
    """Freezing and thawing by one repository's settings."""

    def __init__(
        self, sharing: Sharing, hooks: Hooks, *, crippled: bool, separate_lock: bool
    ) -> None:
        self._sharing = sharing
        self._hooks = hooks
        self._crippled = crippled
        self._separate_lock = separate_lock
        self._open: dict[str, int] = {}

    def thaw_directory(self, path: str) -> None:
        """Make entries of an object directory changeable. Raises FileNotFoundError."""
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if not self._crippled and not mode & stat.S_IWUSR:
            # Another owner's directory may be writable for us all the same.
            chmod_quietly(path, mode | stat.S_IWUSR)
        self._hooks.thaw(path)

    def freeze_directory(self, path: str) -> None:
        """The opposite of `thaw_directory`; a directory that is gone is well frozen."""
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
            wanted = self._sharing.frozen_directory_mode(mode)
            if not self._crippled and wanted != mode:
                chmod_quietly(path, wanted)
        except FileNotFoundError:
            return
        self._hooks.freeze(path)

    def thawed(self, directory: str) -> Thawed:
        """An object directory whose entries may be changed until this is closed.

        Within one such block another one for the same directory does nothing: what belongs
        together thaws and freezes once.
        """
        return Thawed(self, directory, self._open)

    def protect(self, file: str | int) -> None:
        """Give an object its final mode; what freezes it otherwise is `freeze_object`."""
        mode = stat.S_IMODE(os.stat(file).st_mode)
        wanted = self._sharing.frozen_file_mode(mode, separate_lock=self._separate_lock)
        if not self._crippled and wanted != mode:
            chmod_quietly(file, wanted)

    def freeze_object(self, path: str) -> None:
        """Run the hook for an object that has its mode and its name."""
        self._hooks.freeze(path)

    def thaw_object(self, path: str) -> None:
        """Make the content itself writable, as locking before version 10 needs it."""
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        if not self._crippled and not mode & stat.S_IWUSR:
            chmod_quietly(path, mode | stat.S_IWUSR)
        self._hooks.thaw(path)

    def persist(self, directory: str, action: Callable[[], _T]) -> _T:
        """Do something inside a thawed directory, again if it was frozen meanwhile.

        Raises OSError.
        """
        return _persist(lambda: self.thaw_directory(directory), action)

    def persist_object(self, path: str, action: Callable[[], _T]) -> _T:
        """The same with a thawed object. Raises OSError."""
        return _persist(lambda: self.thaw_object(path), action)


class Thawed(Closing):
    """A directory that is thawed. Raises FileNotFoundError where there is none."""

    def __init__(self, freezer: Freezer, directory: str, open: dict[str, int]) -> None:
        self._freezer = freezer
        self._directory = directory
        self._open = open
        if not open.get(directory):
            freezer.thaw_directory(directory)
        open[directory] = open.get(directory, 0) + 1

    def forget(self) -> None:
        """The directory is gone: there is nothing to be frozen."""
        self._open.pop(self._directory, None)
        self._directory = ""

    def close(self) -> None:
        """Freeze the directory, if nobody else here needs it thawed. Twice is harmless."""
        directory, self._directory = self._directory, ""
        if not directory:
            return
        left = self._open.pop(directory, 1) - 1
        if left > 0:
            self._open[directory] = left
        else:
            self._freezer.freeze_directory(directory)


def _persist(thaw: Callable[[], None], action: Callable[[], _T]) -> _T:
    for pause in _PAUSES:
        try:
            return action()
        except PermissionError:
            time.sleep(pause)
            thaw()
    return action()
