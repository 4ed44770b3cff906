"""Is what was loaded still what is installed?

A resident outlives upgrades, and edits of a checkout. Every file of ours is looked at, and
of other packages their first: installing replaces that one with the rest.
"""

from __future__ import annotations

import os
import sys

import annexshell

Mark = tuple[int, int, int]


class Installation:
    """The files that a process was loaded from, as they were."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark | None] = {}
        for folder, folders, names in os.walk(annexshell.__path__[0]):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                if name.endswith(".py"):
                    self._note(os.path.join(folder, name))
        self._note(os.path.realpath(sys.executable))

    def loaded(self) -> None:
        """Everything was imported: look at the rest from now on."""
        for path in [path for path in self._marks if path.endswith(".py")]:
            # A new file may take the place of one that is loaded.
            self._note(os.path.dirname(path))
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file is not None and "." not in name:
                self._note(file)

    def _note(self, path: str) -> None:
        if path not in self._marks:
            self._marks[path] = _mark(path)

    def unchanged(self) -> bool:
        """Whether each file is what it was."""
        return all(_mark(path) == mark for path, mark in self._marks.items())


def _mark(path: str) -> Mark | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
