"""Find the repository a directory argument means (spec 01 §1.3, spec 02 §4.1 to §4.3).

Light, like `config`. What is found is resolved to real paths once; everything after works
on those, so that no symlink swapped later changes which repository is served. git is never
let search: a directory *inside* a repository is refused, because content stored there
would be stored beside the annex.
"""

from __future__ import annotations

import os

from annexshell.errors import (
    ConfigUnreadable,
    NestedRepository,
    NoSuchRepository,
    NotARepository,
)
from annexshell.model.ids import UUID
from annexshell.model.record import NamedTuple
from annexshell.repository.config import GitConfig, read_config
from annexshell.repository.gitprocess import GitFailed, GitNotRun, git_output

_OWN_PARTS = frozenset(("modules", "worktrees"))
"""Where git itself keeps other git directories in one; no push can write there."""


class Repository(NamedTuple):
    """An opened repository. Paths are absolute and real."""

    path: str
    """What the client named: the top of the work tree, or the git directory."""
    git_dir: str
    """Of a linked worktree its own, under ``worktrees/`` of the main one."""
    annex_dir: str
    """``annex/`` of the main repository, also for a linked worktree."""
    work_tree: str | None
    """None where there is none, or none is known."""
    config: GitConfig

    @property
    def uuid(self) -> UUID:
        """annex.uuid; empty if the repository has none."""
        return UUID(os.fsencode(self.config.get("annex.uuid") or ""))

    @property
    def bare(self) -> bool:
        """Whether there is no work tree at all; it says where objects are (§4.5)."""
        return self.work_tree is None and self.config.boolean("core.bare", True)

    @property
    def common_dir(self) -> str:
        """Where config, refs and hooks are; ``git_dir`` unless this is a worktree."""
        return os.path.dirname(self.annex_dir)

    def reread(self) -> Repository:
        """The same repository with its config as it is now. Raises ConfigUnreadable."""
        return self._replace(config=_config_of(self.path, self.git_dir))


def expand(argument: str, home: str) -> str:
    """The path that a client's directory argument means, not yet resolved.

    Relative paths and ``~`` are under ``home``; an unknown ``~user`` is left as it is.
    """
    if argument.startswith("/~"):
        argument = argument[1:]
    if argument == "~" or argument.startswith("~/"):
        argument = argument[2:].lstrip("/")
    elif argument.startswith("~"):
        argument = os.path.expanduser(argument)
    return os.path.join(home, argument)


def resolve(argument: str, home: str) -> str:
    """The real path of the directory that ``argument`` names.

    ``DIR.git`` stands in for a DIR that does not exist. Raises NoSuchRepository.
    """
    path = expand(argument, home)
    if "\0" in path:
        raise NoSuchRepository(path=path)
    real = os.path.realpath(path)
    if os.path.isdir(real):
        return real
    if not path.endswith("/"):
        real = os.path.realpath(path + ".git")
        if os.path.isdir(real):
            return real
    from annexshell.repository.missing import why_missing

    raise why_missing(path.rstrip("/") or "/")


def without_git(path: str) -> str:
    """``X`` for a path ``X/.git``, any other path as it is."""
    parent, last = os.path.split(path)
    return parent if last == ".git" else path


def locate(argument: str, home: str) -> str:
    """`resolve`, and ``X/.git`` means X. Raises NoSuchRepository."""
    return without_git(resolve(argument, home))


def open_repository(path: str) -> Repository:
    """The repository at ``path``, a real path given by `locate`.

    A git directory away from its work tree, named by its own path, is one of a work tree
    that is not known, unless core.worktree leads there: it is not bare all the same.
    Raises NotARepository (also for a directory inside a repository), AccessFailed,
    ConfigUnreadable and GitMissing.
    """
    git_dir = find_git_dir(path)
    if not _may_stand_for(path, git_dir):
        raise NotARepository(path=path)
    config = _config_of(path, git_dir)
    common = common_dir_of(git_dir)
    if common != git_dir:
        from annexshell.repository.ownership import may_lead_to

        if not may_lead_to(git_dir, common):
            raise NotARepository(path=path)
    work_tree = _work_tree_of(path, git_dir, common, config)
    return Repository(path, git_dir, os.path.join(common, "annex"), work_tree, config)


def find_git_dir(path: str) -> str:
    """The real path of the git directory of the repository whose top is ``path``.

    Raises AccessFailed, and NotARepository, also where ``path`` is not a real path any more: a push can
    put a symlink in place of a directory of a work tree after it was checked.
    """
    inside = os.path.join(path, ".git")
    if os.path.isfile(inside):
        found = _follow(inside)
    elif os.path.isdir(inside):
        found = os.path.realpath(inside)
    else:
        found = path
    if os.path.realpath(path) != path:
        raise NotARepository(path=path)
    if not _is_git_dir(found):
        from annexshell.repository.missing import why_no_repository

        raise why_no_repository(path)
    if found == path:
        _refuse_planted(path)
    return found


def _may_stand_for(path: str, git_dir: str) -> bool:
    """Whether the ``.git`` of ``path``, if it is none itself, may lead to ``git_dir``.

    Anybody could have one lead to a repository of ours: relative paths of its config, also
    those of programs and of remotes, would then be theirs. git looks at its owner as well.
    """
    pointer = os.path.join(path, ".git")
    if git_dir in (path, pointer):
        return True
    if _owner_of(pointer) in (os.geteuid(), 0, _owner_of(git_dir)):
        return True
    from annexshell.repository.ownership import is_called_safe

    return is_called_safe(path)


def _owner_of(path: str) -> int:
    return os.lstat(path).st_uid


def _refuse_planted(path: str) -> None:
    """Raise NestedRepository if a push to another repository can have made this one.

    The files of a git directory can be pushed to a repository whose work tree is updated,
    and among them hooks and config, or a ``commondir`` that leads anywhere. Refs can be
    named like them. Only ``.git`` itself cannot be pushed, so what is found through that
    is safe, and so is what no repository around it knows of.
    """
    around, child = os.path.split(path)
    while child:
        if child not in _OWN_PARTS and _is_git_dir(around):
            raise NestedRepository(path=path)
        if os.path.lexists(os.path.join(around, ".git")) and _tracks(around, path):
            raise NestedRepository(path=path)
        around, child = os.path.split(around)


def _tracks(top: str, path: str) -> bool:
    """Whether the index of the repository at ``top`` has anything at or below ``path``."""
    spec = ":(top,literal)" + os.path.relpath(path, top)
    try:
        return bool(git_output(f"{top}/.git", "ls-files", "-z", "--cached", "--", spec))
    except GitFailed:
        # What cannot be read cannot be trusted; a .git that git does not know is none.
        return _is_git_dir(os.path.join(top, ".git"))


def _follow(pointer: str) -> str:
    """Where a ``.git`` file of a worktree, submodule or separate git dir points."""
    with open(pointer, "rb") as text:
        start = text.read(8192)
    if not start.startswith(b"gitdir: "):
        raise NotARepository(path=os.path.dirname(pointer))
    target = os.fsdecode(start.removeprefix(b"gitdir: ").rstrip(b"\r\n"))
    return os.path.realpath(os.path.join(os.path.dirname(pointer), target))


def _is_git_dir(path: str) -> bool:
    # What git itself asks of a git directory; a linked worktree's has commondir instead.
    if not os.path.lexists(os.path.join(path, "HEAD")):
        return False
    return os.path.isfile(os.path.join(path, "commondir")) or (
        os.path.isdir(os.path.join(path, "objects"))
        and os.path.isdir(os.path.join(path, "refs"))
    )


def common_dir_of(git_dir: str) -> str:
    """Where config, refs and hooks are: elsewhere for a linked worktree."""
    try:
        with open(os.path.join(git_dir, "commondir"), "rb") as text:
            common = os.fsdecode(text.read(8192).rstrip(b"\r\n"))
    except FileNotFoundError:
        return git_dir
    return os.path.realpath(os.path.join(git_dir, common))


def _work_tree_of(
    path: str, git_dir: str, common: str, config: GitConfig
) -> str | None:
    if common != git_dir:
        # As git does: core.bare and core.worktree of the main repository are not a linked
        # worktree's.
        return path if path != git_dir else _worktree_of_link(git_dir)
    if config.boolean("core.bare", path == git_dir):
        return None
    elsewhere = config.get("core.worktree")
    if elsewhere is not None:
        return os.path.realpath(os.path.join(git_dir, elsewhere))
    return path if path != git_dir else None


def _worktree_of_link(git_dir: str) -> str:
    with open(os.path.join(git_dir, "gitdir"), "rb") as text:
        back = os.fsdecode(text.read(8192).rstrip(b"\r\n"))
    return os.path.realpath(os.path.dirname(os.path.join(git_dir, back)))


def _config_of(path: str, git_dir: str) -> GitConfig:
    try:
        config = read_config(git_dir)
        if config.get("core.repositoryformatversion") is None:
            # Of a format that git does not know it leaves out the config, without a word.
            git_output(git_dir, "rev-parse", "--git-dir")
        return config
    except GitNotRun as error:
        from annexshell.repository.missing import GitMissing
        from annexshell.repository.remedies import account

        raise GitMissing(path=path, detail=error, account=account()) from error
    except GitFailed as error:
        raise ConfigUnreadable(
            host=os.uname().nodename, path=path, detail=error
        ) from error
