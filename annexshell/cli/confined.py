"""What a directory must be, beside allowed, for a session to be confined to it.

Its owner can have ``.git``, ``commondir``, or anything below ``annex/`` lead to whatever
else this account may open. Where that is another user, a key that is confined there would
not be. git refuses to fetch from or push to such a repository by the same rule.
"""

from __future__ import annotations

import os

from annexshell.errors import Mendable, NotARepository
from annexshell.repository.open import common_dir_of, find_git_dir


class NotConfinable(Mendable):
    text = (
        "the repository is another user's, and links in it could lead a confined session out"
        " ({path}): set safe.directory in this account's git config if it is trusted"
    )


def check_confinable(path: str) -> None:
    """Raise NotConfinable unless the repository at ``path`` is ours, root's or trusted.

    What is no repository is left to whoever opens it. Raises OSError too.
    """
    try:
        git_dir = find_git_dir(path)
    except NotARepository:
        return
    common = common_dir_of(git_dir)
    inside = [path, f"{path}/.git", git_dir, common, f"{common}/config"]
    inside += [f"{git_dir}/config.worktree", f"{common}/annex"]
    if _owners(inside) <= {os.geteuid(), 0}:
        return
    from annexshell.repository.ownership import is_called_safe  # it costs a run of git

    if not is_called_safe(common, path):
        raise NotConfinable(path=path)


def _owners(paths: list[str]) -> set[int]:
    found = set()
    for path in paths:
        # Of a link itself: it is what leads somewhere.
        try:
            found.add(os.lstat(path).st_uid)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found
