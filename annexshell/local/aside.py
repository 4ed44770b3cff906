"""What goes on beside the content of a local store: its trash bin, and its hook."""

from __future__ import annotations

import threading
from typing import Protocol

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.annex import Annex
from annexshell.repository.objects import OpenObject
from annexshell.repository.open import Repository


class TrashBin(Protocol):
    """Stores content that is about to be removed (annex.trashbin, spec 02 §11.4)."""

    async def keep(self, repository: Repository, key: Key, content: OpenObject) -> UUID:
        """Store content of ``repository`` where its config says; who has it now.

        Raises RemovalRefused unless it is certain to be there.
        """

    async def settle(self) -> None:
        """Commit what was recorded there. Raises nothing."""

    async def aclose(self) -> None:
        """End the connections."""


class ContentHook:
    """Runs hooks/annex-content in a thread: no transfer waits for it.

    What changes while it runs is left to one more run.
    """

    def __init__(self, annex: Annex) -> None:
        self._annex = annex
        self._thread: threading.Thread | None = None
        self.due = False
        """Whether content has changed since it was last started."""

    def start(self) -> None:
        """Start it if it is due and not running."""
        if self.due and not (self._thread and self._thread.is_alive()):
            self.due = False
            directory = self._annex.repository.path
            run = self._annex.hooks.content_changed
            self._thread = threading.Thread(target=run, args=(directory,))
            self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether it was never started and need not be."""
        return self._thread is None and not self.due

    def finish(self) -> None:
        """Wait until it has run for all that changed; bounded by its own limit."""
        for _ in range(2):
            if self._thread is not None:
                self._thread.join()
            self.start()
