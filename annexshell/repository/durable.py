"""What reaches the disk, and what is let go of; shared by all that writes here."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:  # the shell's light path comes through here
    from types import TracebackType
    from typing import Self


class Closing(ABC):
    """Something that is held; leaving its block closes it."""

    @abstractmethod
    def close(self) -> None:
        """Let go. Twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def sync_directory(path: str | bytes) -> None:
    """Have the names in a directory reach the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
