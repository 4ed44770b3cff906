"""What the commands on single keys share: the repository, the keys, the location log.

A gcrypt repository has neither a uuid of its own nor a location log: nothing is recorded
for it (spec 02 §14.5).
"""

from __future__ import annotations

import logging
import os

from annexshell.cli.commandline import Parameters
from annexshell.cli.commands import Invocation
from annexshell.cli.identity import require_own_uuid
from annexshell.errors import BadParameters
from annexshell.model.clock import parse_clock
from annexshell.model.ids import UUID, is_safe_uuid
from annexshell.model.key import Key
from annexshell.repository.open import Repository, open_repository
from annexshell.repository.supported import require_served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from annexshell.repository.branch import Branch


def open_here(invocation: Invocation) -> Repository:
    """The repository that the client means, if its content can be served.

    Raises ShellError, in git-annex-shell's order of checks (spec 01 §1.4).
    """
    begin_warnings()
    repository = open_repository(invocation.path)
    require_own_uuid(repository, invocation.parameters.uuid, invocation.command)
    require_served(repository, gcrypt=True)
    return repository


def begin_warnings() -> None:
    """What is logged reads as what we tell ourselves; nothing else takes it here."""
    stderr = logging.StreamHandler()
    stderr.setFormatter(logging.Formatter("annexshell: %(message)s"))
    logging.basicConfig(handlers=[stderr], level=logging.WARNING)


def parse_key(text: str) -> Key:
    """Raises MalformedKey, which says ``bad key``."""
    return Key.parse(os.fsencode(text))


def only_key(invocation: Invocation) -> Key | None:
    """The key to transfer; None if none is named, which is nothing to do (spec 01 §1.8).

    Raises MalformedKey, and BadParameters for more than one: a connection carries one.
    """
    words = invocation.parameters.positional
    if len(words) > 1:
        raise BadParameters(detail=f"{invocation.command} takes one key")
    return parse_key(words[0]) if words else None


def remote_uuid(parameters: Parameters) -> UUID | None:
    """The uuid of the client's repository (field ``remoteuuid``), None if not known.

    What is no uuid is ignored, as in git-annex-shell; an empty one would name a directory
    above those of the peers. Raises BadParameters for that.
    """
    value = os.fsencode(parameters.field("remoteuuid") or "")
    if not value and parameters.field("remoteuuid") is not None:
        raise BadParameters(detail="the field remoteuuid is empty")
    return UUID(value) if is_safe_uuid(value) else None


class LocationLog:
    """Our line in the location logs, in the journal only (spec 02 §16)."""

    def __init__(self, invocation: Invocation, repository: Repository) -> None:
        self._clock = invocation.surroundings.clock
        self._repository = repository
        self._branch: Branch | None = None
        self.changed = False
        """Whether there was something to record: content came or went."""

    def check(self, key: Key) -> None:
        """Raise what `record` would, before content is removed."""
        if self._repository.uuid:
            self._opened().check_recordable(key, self._repository.uuid)

    def record(self, key: Key, present: bool) -> None:
        """Raises JournalFailed, BranchUnreadable, LockTimeout."""
        self.changed = True
        if self._repository.uuid:
            self._opened().record(key, self._repository.uuid, present)

    def _opened(self) -> Branch:
        if self._branch is None:
            # pygit2 is large; a gcrypt repository never needs it.
            from annexshell.repository.branch import Branch

            clock = None if self._clock is None else parse_clock(self._clock)
            self._branch = Branch(self._repository, clock)
        return self._branch
