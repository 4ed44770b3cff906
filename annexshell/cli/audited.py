"""What the commands on single keys add to the audit log (docs/auditlog.md)."""

from __future__ import annotations

import os

from annexshell.cli.commandline import Builtin, Parameters, parse_parameters
from annexshell.cli.environment import Surroundings
from annexshell.cli.identity import foreign_uuid
from annexshell.errors import AnnexshellError, BlockedBy, MalformedKey
from annexshell.model.ids import is_safe_uuid
from annexshell.policy.directory import confine
from annexshell.repository.audit import Audit
from annexshell.repository.open import (
    Repository,
    open_repository,
    resolve,
    without_git,
)


def audit_of(
    repository: Repository, surroundings: Surroundings, parameters: Parameters
) -> Audit:
    """The audit log for one command. Never raises."""
    client = os.fsencode(parameters.field("remoteuuid") or "")
    return Audit.of(
        repository,
        user=surroundings.user,
        connection=surroundings.connection,
        client=client if is_safe_uuid(client) else b"",
    )


def note_refusal(asked: Builtin, surroundings: Surroundings, error: BlockedBy) -> None:
    """Write down what a restriction is about to refuse, one line for each key.

    Only of a repository that the key's owner may use, and that is the one meant; what is
    found there changes nothing of what the client is told.
    """
    try:
        path = confine(
            surroundings.restrictions,
            asked.directory,
            lambda text: resolve(text, surroundings.home),
        )
        parameters = parse_parameters(asked.command, asked.words)
        repository = open_repository(without_git(path))
        meant = foreign_uuid(repository, parameters.uuid) is None
    except (AnnexshellError, OSError):
        return  # Without the restriction it would be refused all the same, unlogged.
    audit = audit_of(repository, surroundings, parameters)
    if audit.on and meant:
        _write_refusals(audit, asked.command, parameters.positional, error)


def _write_refusals(
    audit: Audit, command: str, words: tuple[str, ...], error: BlockedBy
) -> None:
    # Only here: a refusal that is not logged needs no keys.
    from annexshell.cli.keys import begin_warnings, parse_key

    begin_warnings()
    for word in words:
        try:
            key = parse_key(word)
        except MalformedKey:
            continue
        entry = audit.request(command, key=key.text)
        entry.failed(error)
        entry.write()
