"""Finding out which repository a remote is, where git's config does not say yet.

git-annex does this whenever it looks at a remote, so that ``git remote add`` is enough to
make one a node. Nothing is set for a remote that gives no uuid, where git-annex may set
annex-ignore.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from annexshell.admin.changes import Setting
from annexshell.admin.remotes import is_published
from annexshell.errors import AnnexshellError
from annexshell.model.ids import UUID, is_cluster_uuid, is_safe_uuid
from annexshell.proxy.instantiated import Remote
from annexshell.remotes.recipes import LocalPath, SshHost, recipe_for
from annexshell.remotes.sshcommand import quoted, ssh_command
from annexshell.repository.config import GitConfig
from annexshell.repository.open import Repository, locate, open_repository
from annexshell.repository.programs import run_program
from annexshell.repository.timeouts import node_timeout

_NO_UUID = UUID(b"")
_ANSWER = b"annex.uuid="
_LONGEST = 1 << 16
"""Bytes of an answer: a node must not fill our memory."""


def uuids_found(repository: Repository, more: Iterable[str] = ()) -> list[Setting]:
    """The uuids of remotes that are to be published, or are in ``more``, if not yet set.

    What cannot be reached now, or says it is a cluster, is left out; it is then told of as
    without a known uuid.
    """
    config, also = repository.config, set(more)
    return [
        Setting(f"remote.{name}.annex-uuid", os.fsdecode(uuid))
        for name in config.remotes()
        if config.get(f"remote.{name}.annex-uuid") is None
        and not config.boolean(f"remote.{name}.annex-ignore", False)
        and (name in also or is_published(config, Remote(name, _NO_UUID, name)))
        and is_safe_uuid(uuid := _uuid_of(repository, name))
        and not is_cluster_uuid(uuid)
    ]


def _uuid_of(repository: Repository, name: str) -> UUID:
    try:
        recipe = recipe_for(repository.config, name)
        if isinstance(recipe, LocalPath):
            path = os.path.join(repository.path, recipe.path)
            return open_repository(locate(path, "/")).uuid
        return _ask(repository, name, recipe)
    except (AnnexshellError, OSError):
        return _NO_UUID


def _ask(repository: Repository, name: str, host: SshHost) -> UUID:
    """What configlist says, which clients ask first too (spec 01 §2). Raises OSError."""
    config = repository.config
    argv = ssh_command(config, name, host, _configlist(config, name, host.path), None)
    try:
        timeout = node_timeout(config)
        done = run_program(
            argv,
            cwd=repository.path,
            capture=True,
            timeout=timeout,
            most=_LONGEST,
            lend=False,
        )
    except subprocess.TimeoutExpired:
        return _NO_UUID
    lines = (done.stdout or b"").splitlines()
    found = [line for line in lines if line.startswith(_ANSWER)]
    return UUID(found[0].removeprefix(_ANSWER)) if found else _NO_UUID


def _configlist(config: GitConfig, name: str, path: str) -> str:
    shell = config.remote(name, "shell") or "git-annex-shell"
    return f"{shell} 'configlist' {quoted(path)}"
