"""Confinement of a session to a directory (spec 01 §1.5, the safe variant).

The reference compares texts and then opens what the kernel makes of them, so a symlink
followed by ``..`` escapes. Here both sides are resolved first and the directories
themselves are compared; whoever opens the repository uses the resolved path.
"""

from __future__ import annotations

import os

from annexshell.errors import NoSuchRepository, OnlyAllowedTo
from annexshell.policy.restrictions import Restrictions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def confine(
    restrictions: Restrictions, asked: str, resolve: Callable[[str], str]
) -> str:
    """The real path of the directory that the text ``asked`` names, if it is allowed.

    ``resolve`` makes the real path of an existing directory from a text, relative to the
    home directory, or raises NoSuchRepository. Raises OnlyAllowedTo. A directory that does
    not exist is refused like a forbidden one, so that nobody can probe for names.
    """
    if not restrictions.confined:
        return resolve(asked)
    allowed = restrictions.directory
    below = restrictions.below
    try:
        path = resolve(asked)
    except NoSuchRepository:
        if asked == allowed:
            raise
        raise _refusal(restrictions, asked) from None
    if allowed is not None and not _is(path, allowed, resolve):
        raise _refusal(restrictions, asked)
    if below is not None and not _is_below(path, below, resolve):
        raise _refusal(restrictions, asked)
    return path


def allowed_text(restrictions: Restrictions) -> str:
    """What a refusal names as allowed."""
    if restrictions.directory is not None:
        return restrictions.directory or "~"
    return f"what is below {restrictions.below or '~'}"


def _refusal(restrictions: Restrictions, asked: str) -> OnlyAllowedTo:
    return OnlyAllowedTo(allowed=allowed_text(restrictions), asked=asked)


def _is(path: str, allowed: str, resolve: Callable[[str], str]) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.stat(resolve(allowed)))
    except (OSError, NoSuchRepository):
        return False


def _is_below(path: str, below: str, resolve: Callable[[str], str]) -> bool:
    try:
        top = resolve(below)
    except NoSuchRepository:
        return False
    # The separator keeps /srv/annex2 from passing for /srv/annex.
    return path == top or path.startswith(top.rstrip("/") + "/")
