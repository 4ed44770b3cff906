"""What the operator's environment takes away from a session (spec 01 §1.4).

Read from the variables that a forced command sets. Any non-empty value restricts, also
``0``: a reader who mistakes the value then loses access and not protection.
"""

from __future__ import annotations

from annexshell.model.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

READONLY = "GIT_ANNEX_SHELL_READONLY"
APPENDONLY = "GIT_ANNEX_SHELL_APPENDONLY"
LIMITED = "GIT_ANNEX_SHELL_LIMITED"
DIRECTORY = "GIT_ANNEX_SHELL_DIRECTORY"
DIRECTORY_BELOW = "ANNEXSHELL_DIRECTORY_BELOW"


class Restrictions(NamedTuple):
    """Frozen; a session can never widen it."""

    read_only: bool = False
    append_only: bool = False
    """Where ``read_only`` is set too, that one wins."""
    limited: bool = False
    """git itself may not be used, only git-annex."""
    directory: str | None = None
    """The only directory to serve; the empty text means the home directory."""
    below: str | None = None
    """Serve only this directory and what is below it (ours)."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Restrictions:
        """The restrictions that these variables ask for."""
        return cls(
            read_only=bool(environ.get(READONLY)),
            append_only=bool(environ.get(APPENDONLY)),
            limited=bool(environ.get(LIMITED)),
            directory=environ.get(DIRECTORY),
            below=environ.get(DIRECTORY_BELOW),
        )

    @property
    def confined(self) -> bool:
        """Whether only some directories may be served."""
        return self.directory is not None or self.below is not None
