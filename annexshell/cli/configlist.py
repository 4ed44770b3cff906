"""The configlist command, which also initialises a repository (spec 01 §2, 02 §14.2)."""

from __future__ import annotations

import errno
import os
import stat

from annexshell.cli.commands import Invocation
from annexshell.cli.identity import require_own_uuid
from annexshell.errors import (
    BadParameters,
    BlockedBy,
    ConfigUnreadable,
    NotARepository,
    printable,
)
from annexshell.model.writing import write_all
from annexshell.policy.restrictions import READONLY
from annexshell.repository.gitprocess import GitFailed, git_output
from annexshell.repository.open import Repository, open_repository

_BRANCHES = (
    "refs/heads/git-annex",
    "refs/heads/synced/git-annex",
    "refs/remotes/**/git-annex",
)


def configlist(invocation: Invocation) -> int:
    """Print annex.uuid and core.gcrypt-id; the result is the exit status.

    A directory without a repository is no error but has no uuid, unless it is to be
    initialised: clients then show what is wrong. Raises ShellError and RequestError.
    """
    parameters = invocation.parameters
    if parameters.positional:
        raise BadParameters(detail="configlist takes no parameters")
    initialises = parameters.field("autoinit") == "1"
    try:
        repository = open_repository(invocation.path)
    except NotARepository as error:
        if parameters.uuid is not None or initialises:
            raise
        write_all(2, f"annexshell: {error}\n".encode())
        write_all(1, _answer(b"", b""))
        return 0
    require_own_uuid(repository, parameters.uuid, invocation.command)
    if not repository.uuid and not repository.config.get("core.gcrypt-id"):
        if initialises or has_annex_branch(repository):
            repository = _initialised(repository, invocation)
    # Two lines, whatever was set: clients take each for a setting.
    gcrypt_id = (repository.config.get("core.gcrypt-id") or "").partition("\n")[0]
    write_all(1, _answer(repository.uuid, os.fsencode(gcrypt_id)))
    return 0


def has_annex_branch(repository: Repository) -> bool:
    """Whether a git-annex branch was made here, pushed here or fetched to here."""
    try:
        listing = git_output(
            repository.git_dir, "for-each-ref", "--format=%(refname)", *_BRANCHES
        )
    except GitFailed as error:
        raise ConfigUnreadable(
            host=os.uname().nodename, path=repository.path, detail=error
        ) from error
    return bool(listing)


def _answer(uuid: bytes, gcrypt_id: bytes) -> bytes:
    return b"annex.uuid=" + uuid + b"\ncore.gcrypt-id=" + gcrypt_id + b"\n"


def _initialised(repository: Repository, invocation: Invocation) -> Repository:
    if invocation.surroundings.restrictions.read_only:
        raise BlockedBy(variable=READONLY)
    _check_not_lost(repository)
    _check_not_prevented(repository)
    from annexshell.repository.initialise import describe, initialise

    surroundings = invocation.surroundings
    return initialise(
        repository,
        describe(repository.path, surroundings.home),
        clock=surroundings.clock,
    )


def _check_not_lost(repository: Repository) -> None:
    # A new uuid would make an orphan of all that the old one is recorded to hold.
    objects = os.path.join(repository.annex_dir, "objects")
    if repository.config.get("annex.version") or os.path.lexists(objects):
        from annexshell.cli.errors import UUIDLost

        raise UUIDLost(path=repository.path)


def _check_not_prevented(repository: Repository) -> None:
    if repository.work_tree is None:
        return
    reason = _reason_in(os.path.join(repository.work_tree, ".noannex"))
    if reason is not None:
        from annexshell.cli.errors import InitializationPrevented

        raise InitializationPrevented(
            path=repository.path, detail=printable(reason) or "it gives no reason"
        )


def _reason_in(path: str) -> bytes | None:
    """What the file says; None if there is nothing at all.

    A push can put it there, so only a regular file is read: a symlink could lead to what
    the client may not see, and a FIFO would be waited for.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return b""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return b""
        raise
    with os.fdopen(fd, "rb") as text:
        return text.read(4096).strip()
