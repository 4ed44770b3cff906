"""The gcryptsetup command: a bare repository becomes a gcrypt repository (spec 02 §14.5)."""

from __future__ import annotations

import os

from annexshell.cli.commands import Invocation
from annexshell.cli.errors import GcryptHasUUID, GcryptMismatch, GcryptNotBare
from annexshell.cli.identity import require_own_uuid
from annexshell.errors import BadParameters, ConfigUnreadable
from annexshell.repository.gitprocess import GitFailed, git_output
from annexshell.repository.initialise import identity_lock
from annexshell.repository.open import Repository, open_repository

_LINE_ENDS = "\n\r\0"


def gcryptsetup(invocation: Invocation) -> int:
    """Set core.gcrypt-id, and let git-remote-gcrypt push its rewritten history.

    The same id again is fine, and no id is nothing to do. Raises GcryptHasUUID,
    GcryptMismatch, GcryptNotBare, and other ShellErrors.
    """
    parameters = invocation.parameters
    repository = open_repository(invocation.path)
    require_own_uuid(repository, parameters.uuid, invocation.command)
    if not parameters.positional:
        return 0
    if len(parameters.positional) > 1 or not parameters.positional[0]:
        raise BadParameters(detail="gcryptsetup takes one gcrypt id")
    gcrypt_id = parameters.positional[0]
    if any(char in gcrypt_id for char in _LINE_ENDS):
        # configlist would print what follows as a setting of the server's own.
        raise BadParameters(detail="a gcrypt id is one line")
    _check(repository, gcrypt_id)
    with identity_lock(repository):
        # Somebody may have initialised it or set it up while we waited.
        now = repository.reread()
        _check(now, gcrypt_id)
        # The id last: with it the repository counts as set up.
        _set(now, "receive.denyNonFastForwards", "false")
        _set(now, "core.gcrypt-id", gcrypt_id)
    return 0


def _check(repository: Repository, gcrypt_id: str) -> None:
    path = repository.path
    if repository.uuid:
        raise GcryptHasUUID(path=path)
    if repository.config.get("core.gcrypt-id") not in (None, "", gcrypt_id):
        raise GcryptMismatch(path=path)
    if not repository.bare:
        raise GcryptNotBare(path=path)


def _set(repository: Repository, name: str, value: str) -> None:
    try:
        git_output(repository.git_dir, "config", "--replace-all", "--", name, value)
    except GitFailed as error:
        raise ConfigUnreadable(
            host=os.uname().nodename, path=repository.path, detail=error
        ) from error
