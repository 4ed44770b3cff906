"""What the restricted shell hands to whoever serves the P2P protocol."""

from __future__ import annotations

from annexshell.errors import Mendable
from annexshell.model.ids import UUID
from annexshell.model.record import NamedTuple
from annexshell.policy.restrictions import Restrictions
from annexshell.repository.open import Repository


class InternalError(Mendable):
    """A mistake of ours; nothing that the client or the disk does may end here."""

    text = "internal error ({kind}): {detail}; please report it with what you did"


class SessionRequest(NamedTuple):
    """One p2pstdio session; every check that needs no protocol has passed."""

    repository: Repository
    client: UUID
    """The client's own uuid; safe as a part of a path."""
    asked: UUID | None
    """``--uuid`` where it is not the repository's own, else None: serve locally."""
    restrictions: Restrictions
    user: str = ""
    """ANNEXSHELL_USER: whom the forced command says this is."""
    connection: str = ""
    """SSH_CONNECTION."""
    debug: bool = False
    clock: bytes | None = None
    """GIT_ANNEX_VECTOR_CLOCK."""
    greeted: bool = False
    """Whether ``AUTH-SUCCESS`` has been written to stdout already."""
    session: str = ""
    """Names this session in logs."""
    keeper: int = -1
    """A socket to whoever keeps connections for later sessions, -1 where nobody does."""
