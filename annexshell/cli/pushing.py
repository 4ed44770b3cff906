"""A push, and what it made of the git-annex branch (spec 03 §11.1, §12.3).

A push does not know of the journal's lock. If it moves the branch while the journal holds
lines for the same files, the next git-annex command puts those files over what was pushed
and loses it. The post-receive hook that git-annex installs is such a command, and git runs
it before we are back. So the journal is settled before the push, and again after it, by
union.
"""

from __future__ import annotations

import os

from annexshell.cli.output import tell
from annexshell.errors import AnnexshellError, GitShellFailed
from annexshell.repository.open import find_git_dir, locate, open_repository

_BRANCHES = ("refs/heads/git-annex", "refs/heads/synced/git-annex", "packed-refs")
Marks = tuple[tuple[int, int, int] | None, ...]


def push(argv: list[str], path: str, home: str) -> int:
    """Run the service ``argv`` on the repository at ``path``; its exit code.

    Raises GitShellFailed if it cannot be run.
    """
    git_dir = _git_dir_of(path, home)
    if git_dir is not None and _has_journal(git_dir):
        _settle(locate(path, home))
    before = _marks(git_dir)
    try:
        pid = os.posix_spawnp(argv[0], argv, os.environ)
    except OSError as error:
        raise GitShellFailed(detail=f"{argv[0]}: {error.strerror}") from error
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if git_dir is not None and (_marks(git_dir) != before or _has_journal(git_dir)):
        _settle(locate(path, home))
    return code if code >= 0 else 1


def _git_dir_of(path: str, home: str) -> str | None:
    try:
        return find_git_dir(locate(path, home))
    except AnnexshellError:
        # git says in its own words what is wrong with it.
        return None


def _marks(git_dir: str | None) -> Marks:
    """What changes when a branch of git-annex's moves."""
    return tuple(_mark(f"{git_dir}/{name}") for name in _BRANCHES) if git_dir else ()


def _mark(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _has_journal(git_dir: str) -> bool:
    try:
        with os.scandir(f"{git_dir}/annex/journal") as entries:
            return any(True for _ in entries)
    except OSError:
        return False


def _settle(path: str) -> None:
    """Failing is no harm: the journal keeps what it has, and the push is done."""
    try:
        repository = open_repository(path)
        if repository.uuid:
            from annexshell.repository.branch import Branch

            Branch(repository).settle()
    except AnnexshellError as error:
        tell(error)
