"""Whether we may serve a repository's content: is it an annex of a kind we know.

Light, and asked before a session starts: a wrong guess about the version means locks that
other processes do not see, and with them lost content (spec 02 §6, §8, §14.1).
"""

from __future__ import annotations

import os

from annexshell.errors import (
    GcryptNotP2P,
    NotAnAnnex,
    UnsupportedVersion,
)
from annexshell.model.ids import UUID
from annexshell.repository.open import Repository

VERSIONS = frozenset(("8", "9", "10"))
_GCRYPT_NAMESPACE = "48d0ffb7-e3b7-5a98-baf3-65e9bee5def2"


def require_served(repository: Repository, *, gcrypt: bool = False) -> None:
    """Refuse a repository whose content cannot be served.

    One without a uuid is served if it is a gcrypt repository and ``gcrypt`` is given: its
    clients use commands on single keys, and no P2P protocol. Raises NotAnAnnex,
    GcryptNotP2P and UnsupportedVersion.
    """
    config, path = repository.config, repository.path
    if not repository.uuid:
        if not config.get("core.gcrypt-id"):
            raise NotAnAnnex(path=path)
        if not gcrypt:
            raise GcryptNotP2P(path=path)
    else:
        version = config.get("annex.version") or "(not set)"
        if version not in VERSIONS:
            raise UnsupportedVersion(version=version, path=path)


def gcrypt_uuid(repository: Repository) -> UUID | None:
    """The uuid derived from core.gcrypt-id, None where that is not set (spec 02 §14.5)."""
    name = repository.config.get("core.gcrypt-id")
    if not name:
        return None
    import hashlib  # only gcrypt repositories pay for these
    import uuid

    # uuid.uuid5 wants text and could not encode every id; this is the same over bytes.
    space = uuid.UUID(_GCRYPT_NAMESPACE)
    digest = hashlib.sha1(space.bytes + os.fsencode(name), usedforsecurity=False)
    return UUID(str(uuid.UUID(bytes=digest.digest()[:16], version=5)).encode())
