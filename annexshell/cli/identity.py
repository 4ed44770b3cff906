"""Is the repository the one that the client means (spec 01 §1.6)?"""

from __future__ import annotations

import os

from annexshell.errors import UUIDMissing
from annexshell.model.ids import UUID
from annexshell.repository.open import Repository
from annexshell.repository.supported import gcrypt_uuid


def foreign_uuid(repository: Repository, expected: str | None) -> UUID | None:
    """The uuid asked for where it is another repository's; None means this one.

    Compared as bytes. Raises UUIDMissing where this repository has no uuid to compare.
    """
    if expected is None:
        return None
    asked = UUID(os.fsencode(expected))
    if repository.uuid:
        return None if asked == repository.uuid else asked
    if asked and asked == gcrypt_uuid(repository):
        return None
    raise UUIDMissing(expected=asked, path=repository.path)


def require_own_uuid(
    repository: Repository, expected: str | None, command: str
) -> None:
    """Refuse ``command`` unless the client means this repository.

    Raises UUIDMissing; CannotProxy where the client means a remote that this repository is
    a proxy for, and what `remote_for` raises where it is not, such as UUIDMismatch.
    """
    asked = foreign_uuid(repository, expected)
    if asked is not None:
        # Rare, and all of proxying has to be known to tell which of the two it is.
        from annexshell.cli.errors import CannotProxy
        from annexshell.repository.branch import Branch
        from annexshell.serve.proxied import remote_for

        remote_for(repository, asked, Branch(repository))
        raise CannotProxy(command=command)
