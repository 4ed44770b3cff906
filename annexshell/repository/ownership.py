"""Whose programs may run: hooks and commands of another user's repository do not.

A client may name any directory that its account can read, also one that some other user
of the machine prepared. git-annex serves such a repository, and so do we (spec 02 §4.1);
but what its owner wrote into hooks/ and config would run with our account's rights.
"""

from __future__ import annotations

import logging
import os

from annexshell.repository.gitprocess import GitFailed, git_output

log = logging.getLogger(__name__)

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
    return owners_of(git_dir) <= {os.geteuid(), 0} or _is_called_safe(git_dir)


def owners_of(git_dir: str) -> set[int]:
    """The user ids of whoever owns the git directory and its config."""
    found = {os.stat(git_dir).st_uid}
    try:
        found.add(os.stat(os.path.join(git_dir, "config")).st_uid)
    except FileNotFoundError:
        pass  # a linked worktree has none of its own
    return found


def _is_called_safe(git_dir: str) -> bool:
    # Asked without a repository: its own config may not vouch for it.
    words = ("config", "--null", "--get-all", "safe.directory")
    try:
        listed = os.fsdecode(git_output(os.devnull, *words)).split("\0")[:-1]
    except GitFailed:
        return False
    while "" in listed:
        # An empty value takes back all before it.
        del listed[: listed.index("") + 1]
    names = {git_dir}
    if os.path.basename(git_dir) == ".git":
        names.add(os.path.dirname(git_dir))
    return "*" in listed or not names.isdisjoint(listed)
