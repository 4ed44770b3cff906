"""Is the repository the one that the client means (spec 01 §1.6)?"""

from __future__ import annotations

import os

from annexshell.errors import UUIDMismatch, UUIDMissing
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


def require_own_uuid(repository: Repository, expected: str | None) -> None:
    """Raise UUIDMismatch or UUIDMissing unless the client means this repository."""
    asked = foreign_uuid(repository, expected)
    if asked is not None:
        raise UUIDMismatch(expected=asked, found=repository.uuid, path=repository.path)
