"""The record of a removal, made ready before the content goes (spec 02 §11)."""

from __future__ import annotations

from collections.abc import Callable

from annexshell.repository.durable import Closing
from annexshell.repository.filelock import FileLock
from annexshell.repository.journal import Staged


class Absence(Closing):
    """Says that content is gone, by one rename. The journal is locked until it is closed."""

    def __init__(
        self,
        then: Callable[[], None],
        lock: FileLock | None = None,
        staged: Staged | None = None,
    ) -> None:
        """Nothing is ``staged`` where the log says so already. ``then`` is called once it
        does."""
        self._then = then
        self._lock = lock
        self._staged = staged

    def record(self) -> None:
        """The content is gone. To be called once. Raises JournalFailed."""
        if self._staged is not None:
            self._staged.put()
        self._then()

    def close(self) -> None:
        """Without `record` nothing was changed. Raises JournalFailed."""
        try:
            if self._staged is not None:
                self._staged.close()
        finally:
            if self._lock is not None:
                self._lock.close()
