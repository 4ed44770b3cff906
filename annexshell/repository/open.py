"""Find the repository a directory argument means (spec 01 §1.3, spec 02 §4.1 to §4.3).

Light, like `config`. What is found is resolved to real paths once; everything after works
on those, so that no symlink swapped later changes which repository is served.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from annexshell.errors import ConfigUnreadable, NoSuchRepository, NotARepository
from annexshell.model.ids import UUID
from annexshell.repository.config import ConfigFailed, GitConfig, read_config


class Repository(NamedTuple):
    """An opened repository. Paths are absolute and real."""

    path: str
    """What git is given: the top of the work tree, or the bare repository."""
    git_dir: str
    annex_dir: str
    """``annex/`` of the main repository, also for a linked worktree."""
    work_tree: str | None
    config: GitConfig

    @property
    def uuid(self) -> UUID:
        """annex.uuid; empty if the repository has none."""
        return UUID(os.fsencode(self.config.get("annex.uuid") or ""))

    @property
    def bare(self) -> bool:
        return self.work_tree is None

    def reread(self) -> Repository:
        """The same repository with its config as it is now."""
        return self._replace(config=_config_of(self.path))


def expand(argument: str, home: str) -> str:
    """The path that a client's directory argument means, not yet resolved.

    Relative paths and ``~`` are under ``home``; an unknown ``~user`` is left as it is.
    """
    if argument.startswith("/~"):
        argument = argument[1:]
    if argument == "~" or argument.startswith("~/"):
        argument = argument[2:]
    elif argument.startswith("~"):
        argument = os.path.expanduser(argument)
    return os.path.join(home, argument)


def locate(argument: str, home: str) -> str:
    """The real path of the directory that ``argument`` names.

    ``DIR.git`` stands in for a DIR that does not exist; ``X/.git`` means X. Raises
    NoSuchRepository.
    """
    path = expand(argument, home)
    if (
        not os.path.isdir(path)
        and not path.endswith("/")
        and os.path.isdir(path + ".git")
    ):
        path += ".git"
    if not os.path.isdir(path):
        raise NoSuchRepository(path=path)
    real = os.path.realpath(path)
    parent, last = os.path.split(real)
    return parent if last == ".git" else real


def open_repository(path: str) -> Repository:
    """The repository at ``path``, a real path given by `locate`.

    Raises NotARepository (also for a directory inside a repository) and ConfigUnreadable.
    """
    git_dir = _git_dir_of(path)
    if git_dir is None:
        raise NotARepository(path=path)
    config = _config_of(path)
    work_tree = None if git_dir == path else path
    if config.boolean("core.bare", False):
        work_tree = None
    return Repository(path, git_dir, _annex_dir_of(git_dir), work_tree, config)


def _git_dir_of(path: str) -> str | None:
    inside = os.path.join(path, ".git")
    if os.path.isfile(inside):
        with open(inside, "rb") as pointer:
            target = pointer.read(4096).removeprefix(b"gitdir:").strip()
        inside = os.path.realpath(os.path.join(path, os.fsdecode(target)))
    if _is_git_dir(inside):
        return os.path.realpath(inside)
    return path if _is_git_dir(path) else None


def _is_git_dir(path: str) -> bool:
    # What git itself asks of a git directory; a linked worktree's has commondir instead.
    if not os.path.isfile(os.path.join(path, "HEAD")):
        return False
    return os.path.isfile(os.path.join(path, "commondir")) or (
        os.path.isdir(os.path.join(path, "objects"))
        and os.path.isdir(os.path.join(path, "refs"))
    )


def _annex_dir_of(git_dir: str) -> str:
    common = os.path.join(git_dir, "commondir")
    if os.path.isfile(common):
        with open(common, "rb") as text:
            git_dir = os.path.join(git_dir, os.fsdecode(text.read(4096).strip()))
    return os.path.join(os.path.realpath(git_dir), "annex")


def _config_of(path: str) -> GitConfig:
    try:
        return read_config(path)
    except ConfigFailed as error:
        raise ConfigUnreadable(
            host=os.uname().nodename, path=path, detail=error
        ) from error
