"""Hand-over to git for cloning, fetching and pushing (spec 01 §1.7).

Only git's three services are run, never anything else that git-shell might offer. Their one
argument is taken apart by git's own quoting rules, and git is given the git directory that
was found and checked, so that it has nothing left to search or to follow.
"""

from __future__ import annotations

import os

from annexshell.cli.environment import Surroundings
from annexshell.errors import (
    BlockedBy,
    GitShellFailed,
    NotGitCommand,
    OnlyAllowedUnknown,
)
from annexshell.model.record import NamedTuple
from annexshell.policy.directory import allowed_text, confine
from annexshell.policy.restrictions import LIMITED
from annexshell.repository.open import find_git_dir, resolve, without_git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RECEIVE_PACK = "git-receive-pack"
SERVICES = frozenset(("git-upload-pack", RECEIVE_PACK, "git-upload-archive"))


class Service(NamedTuple):
    """A git service on a path, as the client names it."""

    name: str
    path: str


def pass_through(
    words: Sequence[str],
    surroundings: Surroundings,
    execute: Callable[[Service], int],
) -> int:
    """Check what the client asks for and run that git service; its exit code.

    Raises OnlyAllowedTo, OnlyAllowedUnknown, BlockedBy, NotGitCommand, NoSuchRepository,
    NotARepository, and what ``execute`` raises.
    """
    restrictions = surroundings.restrictions
    service = read_service(words)
    if service is None and restrictions.confined:
        raise OnlyAllowedUnknown(allowed=allowed_text(restrictions))
    if restrictions.limited and not restrictions.confined:
        raise BlockedBy(variable=LIMITED)
    if service is None:
        raise NotGitCommand(command=" ".join(words))
    service = service._replace(path=_git_dir(service.path, surroundings))
    if restrictions.limited:
        raise BlockedBy(variable=LIMITED)
    return execute(service)


def _git_dir(asked: str, surroundings: Surroundings) -> str:
    """The git directory that ``asked`` leads to.

    Left to itself git would also serve what a client pushed into a work tree.
    """
    home = surroundings.home
    path = confine(surroundings.restrictions, asked, lambda text: resolve(text, home))
    path = without_git(path)
    if surroundings.restrictions.confined:
        from annexshell.cli.confined import check_confinable

        check_confinable(path)
    return find_git_dir(path)


def read_service(words: Sequence[str]) -> Service | None:
    """The git service that a command string asks for, None for anything else."""
    if len(words) != 1:
        return None
    text = words[0]
    if text.startswith(("git ", "git\t")):
        text = "git-" + text[4:]
    name, _, argument = text.partition(" ")
    if name not in SERVICES:
        return None
    path = dequote(argument)
    # git-shell too refuses what its service would take for an option.
    return None if path is None or path.startswith("-") else Service(name, path)


def dequote(text: str) -> str | None:
    """The one word that git's shell quoting made ``text`` of; None if it is not that.

    Quoted parts may only be joined by ``\\'`` and ``\\!``, as git writes them.
    """
    if not text.startswith("'"):
        return None
    found: list[str] = []
    at = 1
    while True:
        end = text.find("'", at)
        if end < 0:
            return None
        found.append(text[at:end])
        joint = text[end + 1 : end + 4]
        if not joint:
            return "".join(found)
        if joint not in ("\\''", "\\!'"):
            return None
        found.append(joint[1])
        at = end + 4


def quote(path: str) -> str:
    """``path`` as one word in git's shell quoting."""
    return "'" + path.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def run_git(service: Service, home: str) -> int:
    """Run git-shell, or git itself where that is missing; its exit code.

    Fetching replaces this process. Raises GitShellFailed.
    """
    argv = ["git-shell", "-c", f"{service.name} {quote(service.path)}"]
    if not _is_installed("git-shell"):
        # Some packages of git leave git-shell out; the service is all it would run.
        argv = ["git", service.name.removeprefix("git-"), service.path]
    if service.name == RECEIVE_PACK:
        from annexshell.cli.pushing import push

        return push(argv, service.path, home)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise GitShellFailed(detail=f"{argv[0]}: {error.strerror}") from error


def _is_installed(program: str) -> bool:
    return any(
        os.access(os.path.join(directory, program), os.X_OK)
        for directory in os.environ.get("PATH", os.defpath).split(os.pathsep)
    )
