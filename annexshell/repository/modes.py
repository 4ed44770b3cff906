"""File modes under core.sharedRepository, and the thawing of frozen ones (spec 02 §5.1)."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

_GROUP = frozenset(("group", "true", "1"))
_WORLD = frozenset(("all", "world", "everybody", "2"))
WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class Sharing(NamedTuple):
    """What core.sharedRepository asks for: bits to add, or an exact mode for files."""

    add: int = 0
    exact: int | None = None

    @classmethod
    def parse(cls, value: str | None) -> Sharing:
        """The setting's meaning; an octal number that is none means not shared."""
        word = (value or "").lower()
        if word in _GROUP:
            return cls(add=0o660)
        if word in _WORLD:
            return cls(add=0o664)
        if len(word) == 4 and word[0] == "0":
            try:
                return cls(exact=int(word, 8))
            except ValueError:
                return cls()
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

    def frozen_file_mode(self, mode: int) -> int:
        """The mode of an object: readable by whom it is shared with, writable by none."""
        return self.file_mode(mode) & ~WRITE_BITS

    def umask(self, umask: int) -> int:
        """The umask under which plain creation gives shared modes (spec 03 §12.3)."""
        if self.exact is not None:
            return 0o777 & ~(self.exact | _search_bits(self.exact))
        return umask & ~(self.add | _search_bits(self.add))

    def share_file(self, path: str) -> None:
        """chmod a file that was just made; another owner's file is left alone."""
        if self.shared:
            chmod_quietly(path, self.file_mode(_mode_of(path)))

    def make_directories(self, path: str, top: str) -> None:
        """Make ``path`` and what is missing above it, below ``top``, with shared modes.

        Raises OSError.
        """
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        if path != top and parent != path:
            self.make_directories(parent, top)
        try:
            os.mkdir(path)
        except FileExistsError:
            return
        if self.shared:
            chmod_quietly(path, self.directory_mode(_mode_of(path)))


def chmod_quietly(path: str, mode: int) -> None:
    """chmod unless it is so already or the file is another user's (spec 02 §5.1)."""
    if _mode_of(path) == mode:
        return
    try:
        os.chmod(path, mode)
    except PermissionError:
        # Another owner's: what needs the bits fails by itself, with its own message.
        return


def _mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def _search_bits(mode: int) -> int:
    return (mode & 0o444) >> 2
