"""Why no repository was found or read at a path: loaded only once that is so.

A mistyped path, a disk that is not mounted and a directory that the account may not enter
all look alike to ``os.path.isdir``; a person has to do something else about each. The
errors that say so are here, beside what tells them apart.
"""

from __future__ import annotations

import os

from annexshell.errors import (
    AccessFailed,
    Mendable,
    NoSuchRepository,
    NotARepository,
    ShellError,
)
from annexshell.repository.remedies import explained


class GitMissing(Mendable):
    text = "{detail} ({path}): install git, or put it into the PATH of the account {account}"


class DanglingLink(NoSuchRepository):
    text = (
        "no such directory ({path}): it is a link to {target}, which is not there; mount its"
        " disk, or mend the link"
    )


class NotADirectory(NoSuchRepository):
    text = "no such directory ({path}): {file} is a file; check the path in the remote's url"


class CannotReach(NoSuchRepository):
    text = "the repository cannot be reached ({path}): {detail}"


class EmptyDirectory(NotARepository):
    """What a mount point looks like while nothing is mounted there."""

    text = (
        "not a git repository ({path}): the directory is empty; mount its disk, or check the"
        " path in the remote's url"
    )


class InsideRepository(NotARepository):
    text = (
        "not a git repository ({path}): it lies in the one at {top}; use that path in the"
        " remote's url"
    )


def why_missing(path: str) -> NoSuchRepository:
    """What to say where ``path`` leads to no directory."""
    try:
        os.stat(path)
    except FileNotFoundError:
        link = _dangling(path)
        if link is None:
            return NoSuchRepository(path=path)
        return DanglingLink(path=path, target=os.path.realpath(link))
    except NotADirectoryError:
        return NotADirectory(path=path, file=_file_above(path))
    except OSError as error:
        return CannotReach(path=path, detail=explained(error))
    if os.path.isdir(path):
        return CannotReach(path=path, detail="it was not there a moment ago; try again")
    return NotADirectory(path=path, file=path)


def why_no_repository(path: str) -> ShellError:
    """What to say where the directory ``path`` holds no repository.

    A repository that cannot be looked into is AccessFailed, anything else NotARepository.
    """
    for inside in (os.path.join(path, ".git", "HEAD"), os.path.join(path, "HEAD")):
        try:
            os.lstat(inside)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return AccessFailed(where=path, detail=explained(error))
    if _is_empty(path):
        return EmptyDirectory(path=path)
    top = _repository_around(path)
    if top is not None:
        return InsideRepository(path=path, top=top)
    return NotARepository(path=path)


def _dangling(path: str) -> str | None:
    """The symlink on the way along ``path`` that leads nowhere."""
    while True:
        if os.path.islink(path) and not os.path.exists(path):
            return path
        above = os.path.dirname(path)
        if above == path:
            return None
        path = above


def _file_above(path: str) -> str:
    above = os.path.dirname(path)
    while above != path and not os.path.isfile(path):
        path, above = above, os.path.dirname(above)
    return path


def _is_empty(path: str) -> bool:
    try:
        # A file system of its own that holds nothing has lost+found at most.
        return not set(os.listdir(path)) - {"lost+found"}
    except OSError:
        return False


def _repository_around(path: str) -> str | None:
    around = os.path.dirname(path)
    while around != os.path.dirname(around):
        if os.path.lexists(os.path.join(around, ".git", "HEAD")):
            return around
        if os.path.isdir(os.path.join(around, "objects")) and os.path.isfile(
            os.path.join(around, "HEAD")
        ):
            return around
        around = os.path.dirname(around)
    return None
