"""The environment, read once and then cleared of what no child may see (spec 01 §1.4)."""

from __future__ import annotations

import os

from annexshell.model.record import NamedTuple
from annexshell.policy.restrictions import Restrictions
from annexshell.repository.gitprocess import misleads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_OURS = ("GIT_ANNEX_SHELL_", "ANNEXSHELL_")


class Surroundings(NamedTuple):
    """What the operator and sshd say about this session."""

    home: str
    restrictions: Restrictions = Restrictions()
    user: str = ""
    """ANNEXSHELL_USER, a label for logs."""
    connection: str = ""
    """SSH_CONNECTION."""
    clock: bytes | None = None
    """GIT_ANNEX_VECTOR_CLOCK."""


def take_surroundings(environ: MutableMapping[str, str]) -> Surroundings:
    """Read what concerns us, then remove from ``environ`` what must not be inherited.

    Restrictions are of this session: inherited by the shell of a node that we connect to
    they would confine that one too. Variables that turn git to another repository would
    defeat the confinement. GIT_PROTOCOL stays, git needs it.
    """
    clock = environ.get("GIT_ANNEX_VECTOR_CLOCK")
    surroundings = Surroundings(
        home=environ.get("HOME") or os.path.expanduser("~"),
        restrictions=Restrictions.from_environment(environ),
        user=environ.get("ANNEXSHELL_USER", ""),
        connection=environ.get("SSH_CONNECTION", ""),
        clock=None if clock is None else os.fsencode(clock),
    )
    for name in [n for n in environ if n.startswith(_OURS) or misleads(n)]:
        del environ[name]
    return surroundings


def become(environ: Mapping[bytes, bytes]) -> None:
    """Have these variables and no others, as if we had been started with them."""
    os.environb.clear()
    os.environb.update(environ)
