"""Says, once each, which expressions cannot be used (spec 04 §3.9, §5)."""

from __future__ import annotations

import logging
import os

from annexshell.errors import AnnexshellError, printable
from annexshell.model.ids import UUID
from annexshell.repository.branch import Branch
from annexshell.repository.open import Repository
from annexshell.wanted.preferences import Compiled

log = logging.getLogger(__name__)

_SHOWN = 3
"""Problems of one expression; `annexshell-admin wanted check` has all."""
_LONGEST = 120
_REASONS = 100
"""So many are told in one session: whoever pushes could fill the log."""


class Complaints:
    """What one session has said about expressions."""

    def __init__(self, repository: Repository, branch: Branch) -> None:
        self._config = repository.config
        self._branch = branch
        self._said: set[tuple[UUID, str]] = set()
        self._reasons: set[str] = set()

    def look_at(self, uuid: UUID, compiled: Compiled | None) -> None:
        """Log what is wrong with the repository's expression, if that is news."""
        if compiled is None or not (compiled.problems or compiled.unstable):
            return
        if (uuid, compiled.text) in self._said:
            return
        self._said.add((uuid, compiled.text))
        name = self._name_of(uuid)
        check = "run annexshell-admin wanted check"
        if compiled.problems:
            messages = [problem.message for problem in compiled.problems[:_SHOWN]]
            log.warning(
                "preferred content of %s cannot be understood, and counts as 'present': %s:"
                " %s",
                *(name, _short("; ".join(messages)), check),
            )
            for line in compiled.caret().splitlines():
                log.warning("    %s", line)
        if compiled.unstable:
            log.warning(
                "preferred content of %s is never met, since it negates %s: %s",
                *(name, _short(" ".join(compiled.unstable)), check),
            )

    def cannot_tell(self, key: str, error: Exception) -> None:
        """Log why it cannot be told who wants a key, each reason once."""
        reason = _short(str(error), 2 * _LONGEST)
        if reason in self._reasons or len(self._reasons) >= _REASONS:
            return
        self._reasons.add(reason)
        log.warning("cannot tell who wants %s, so all do: %s", key, reason)

    def _name_of(self, uuid: UUID) -> str:
        """The remote's name, else the description, else the uuid; for a terminal."""
        text = os.fsdecode(uuid)
        for remote in self._config.remotes():
            if self._config.get(f"remote.{remote}.annex-uuid") == text:
                return printable(remote)
        try:
            return printable(self._branch.descriptions().get(uuid) or uuid)
        except AnnexshellError:
            return printable(uuid)


def _short(text: str, longest: int = _LONGEST) -> str:
    shown = printable(text[: longest + 1])
    return shown if len(shown) <= longest else shown[:longest] + "…"
