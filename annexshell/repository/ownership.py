"""Whose programs may run: hooks and commands of another user's repository do not.

A client may name any directory that its account can read, also one that some other user
of the machine prepared. git-annex serves such a repository, and so do we (spec 02 §4.1);
but what its owner wrote into hooks/ and config would run with our account's rights.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress

from annexshell.repository.gitprocess import GitFailed, git_output

log = logging.getLogger(__name__)

NOBODY = -1
# Without read permission, which is not needed to use what is in there, where that exists.
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

NOT_TRUSTED = (
    "the repository is another user's, and its config would say what this account connects"
    " to; set safe.directory in this account's git config if it is trusted"
)
"""Why remotes of a repository are not used, unless it `is_trusted`.

A url by path leads to what its owner may not see, and options of ssh name programs.
"""


def may_run_programs_of(git_dir: str) -> bool:
    """Whether the repository is ours, or root's, or the account's config calls it safe.

    Raises OSError if there is no ``git_dir``.
    """
    if is_trusted(git_dir):
        return True
    log.warning(
        "hooks and commands are not run, the repository is another user's (%s): set"
        " safe.directory in this account's git config if they are trusted",
        git_dir,
    )
    return False


def is_trusted(git_dir: str) -> bool:
    """The same, asked for something else than programs: nothing is said about those."""
    return owners_of(git_dir) <= {os.geteuid(), 0} or is_called_safe(git_dir)


def owners_of(git_dir: str) -> set[int]:
    """The user ids of whoever owns the git directory and its config.

    `NOBODY` is among them if ``git_dir``, once a real path, leads through a symlink by now:
    who put that there wrote what was read before. Raises OSError.
    """
    fd = os.open(git_dir, _DIRECTORY)
    try:
        found = {os.fstat(fd).st_uid}
        with suppress(FileNotFoundError):  # a linked worktree has none of its own
            found.add(os.stat("config", dir_fd=fd).st_uid)
        return found if _path_of(fd, git_dir) == git_dir else found | {NOBODY}
    finally:
        os.close(fd)


def may_lead_to(git_dir: str, common: str) -> bool:
    """Whether ``git_dir``, by its commondir, may stand for the repository ``common``.

    One that git made does, since it lies in there. Any other must not be a stranger's: their
    config could have been read in place of that of ``common``. Raises OSError.
    """
    if git_dir.startswith(f"{common}/worktrees/"):
        return True
    return owners_of(git_dir) <= {os.geteuid(), 0}


def _path_of(fd: int, path: str) -> str:
    """Where an open directory is; ``path`` is how it was reached."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return os.path.realpath(path)  # not Linux


def is_called_safe(git_dir: str, *more: str) -> bool:
    """Whether safe.directory of the account's config lists it, or one of ``more``."""
    # Asked without a repository: its own config may not vouch for it.
    words = ("config", "--null", "--get-all", "safe.directory")
    try:
        listed = os.fsdecode(git_output(os.devnull, *words)).split("\0")[:-1]
    except GitFailed:
        return False
    while "" in listed:
        # An empty value takes back all before it.
        del listed[: listed.index("") + 1]
    names = {git_dir, *more}
    if os.path.basename(git_dir) == ".git":
        names.add(os.path.dirname(git_dir))
    return "*" in listed or not names.isdisjoint(listed)
