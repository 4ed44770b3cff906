"""File modes under core.sharedRepository (spec 02 §5.1)."""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple

_GROUP = frozenset(("group", "true", "1"))
_WORLD = frozenset(("all", "world", "everybody", "2"))
_OCTAL = re.compile(r"[0-7]+\Z")
_RACES = 20
"""Attempts at making a directory that others prune at the same time."""
WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class Sharing(NamedTuple):
    """What core.sharedRepository asks for: bits to add, or an exact mode for files."""

    add: int = 0
    exact: int | None = None

    @classmethod
    def parse(cls, value: str | None) -> Sharing:
        """The setting's meaning; what cannot be understood means not shared."""
        word = (value or "").lower()
        if word in _GROUP:
            return cls(add=0o660)
        if word in _WORLD:
            return cls(add=0o664)
        if _OCTAL.match(word) and int(word, 8):
            return cls(exact=int(word, 8) & 0o777)
        return cls()

    @property
    def shared(self) -> bool:
        return bool(self.add) or self.exact is not None

    def file_mode(self, mode: int) -> int:
        """The mode of an ordinary file that the umask would give ``mode``."""
        return self.exact if self.exact is not None else mode | self.add

    def directory_mode(self, mode: int) -> int:
        """The mode of a directory that the umask would give ``mode``."""
        if self.exact is None:
            return mode | self.add | _search_bits(self.add)
        setgid = stat.S_ISGID if self.exact & 0o060 else 0
        return self.exact | _search_bits(self.exact) | setgid

    def frozen_directory_mode(self, mode: int) -> int:
        """The mode of an object's directory; others of the group may still lock there."""
        if self.exact is not None:
            return self.directory_mode(mode) & ~stat.S_IWUSR
        return self.directory_mode(mode & ~WRITE_BITS)

    def umask(self, umask: int) -> int:
        """The umask under which plain creation gives shared modes (spec 03 §12.3)."""
        if self.exact is not None:
            return 0o777 & ~(self.exact | _search_bits(self.exact))
        return umask & ~(self.add | _search_bits(self.add))

    def frozen_file_mode(self, mode: int, *, separate_lock: bool = True) -> int:
        """The mode of an object: readable by whom it is shared with, writable by none.

        Without a ``separate_lock`` (before version 10) whoever shares it must be able to
        open it for writing, to lock it.
        """
        if separate_lock:
            return self.file_mode(mode) & ~WRITE_BITS
        if self.add & stat.S_IWGRP and self.add & stat.S_IROTH:
            return (mode & ~WRITE_BITS) | 0o666
        return self.file_mode(mode & ~WRITE_BITS)

    def share(self, file: str | int) -> None:
        """Give a file that was just made its shared mode; another owner's is left alone."""
        if not self.shared:
            return
        mode = stat.S_IMODE(os.stat(file).st_mode)
        if self.file_mode(mode) != mode:
            chmod_quietly(file, self.file_mode(mode))

    def make_directories(self, path: str, top: str) -> list[str]:
        """Make ``path`` and what is missing above it, below ``top``, with shared modes.

        Returns the directories made, the uppermost first. Others may remove empty ones at
        the same time, so making is tried again a few times. Raises OSError.
        """
        for _ in range(_RACES):
            try:
                return self._make_below(path, top)
            except FileNotFoundError:
                continue
        return self._make_below(path, top)

    def _make_below(self, path: str, top: str) -> list[str]:
        made: list[str] = []
        try:
            try:
                os.mkdir(path)
            except FileNotFoundError:
                parent = os.path.dirname(path)
                if parent in (path, ""):
                    raise
                made = [] if path == top else self._make_below(parent, top)
                os.mkdir(path)
        except FileExistsError:
            if os.path.isdir(path):
                return made
            raise
        if self.shared:
            mode = stat.S_IMODE(os.stat(path).st_mode)
            chmod_quietly(path, self.directory_mode(mode))
        return [*made, path]


def chmod_quietly(path: str | int, mode: int) -> None:
    """chmod unless the file is another user's (spec 02 §5.1)."""
    try:
        os.chmod(path, mode)
    except PermissionError:
        # Another owner's: what needs the bits fails by itself, with its own message.
        return


def _search_bits(mode: int) -> int:
    return (mode & 0o444) >> 2
