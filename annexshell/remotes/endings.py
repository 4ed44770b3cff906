"""What went wrong if a node did not greet us as it should; pure (spec 01 §7.2)."""

from __future__ import annotations

from annexshell.errors import printable
from annexshell.model.ids import UUID
from annexshell.protocol import messages as m

_SEEN = "its own message, on stderr, says why"
_ENDINGS = {
    255: f"ssh cannot reach it or is not let in; {_SEEN}",
    127: (
        "there is no git-annex-shell in the PATH of the account there; install it, or set"
        " remote.NAME.annex-shell here"
    ),
    126: "the git-annex-shell there cannot be run; check its modes",
}


def ending(exit_code: int | None) -> str:
    """Why the program that leads to a node ended early; empty if that is not known."""
    if exit_code is None or exit_code < 0:
        return ""
    default = f"its git-annex-shell refused (exit status {exit_code}); {_SEEN}"
    return _ENDINGS.get(exit_code, default)


def unwelcome(greeting: object, uuid: UUID) -> str:
    """What is wrong with the first message of a node; empty if nothing is.

    ``greeting`` is an error if it was no message.
    """
    if not isinstance(greeting, m.AuthSuccess):
        return (
            "it does not answer as a git-annex-shell; another program is there, or its"
            " shell prints something first"
        )
    if greeting.uuid == uuid:
        return ""
    if not greeting.uuid:
        return "its repository is not initialised; run git annex init there"
    return (
        f"another repository is there now, with UUID {printable(greeting.uuid)}; bring the"
        " right one back, or change remote.NAME.annex-uuid here"
    )
