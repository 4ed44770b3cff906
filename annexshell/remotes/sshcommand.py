"""The ssh command line for a remote; pure (spec 01 §7.3)."""

from __future__ import annotations

import hashlib
import os
import shlex

from annexshell.errors import PeerUnreachable
from annexshell.model.ids import UUID, is_safe_uuid
from annexshell.remotes.recipes import SshHost
from annexshell.repository.config import GitConfig

CACHING = ["-o", "ControlMaster=auto", "-o", "ControlPersist=yes"]
_MAX_NAME = 32
_MAX_PATH = 100
_TEMPORARY = 17
"""ssh makes the socket under a longer name first."""


def remote_command(
    config: GitConfig, name: str, path: str, gateway: UUID, uuid: UUID
) -> str:
    """What the other side is to run: the words git-annex itself sends.

    Every word is quoted, as git-annex quotes, save the program and the uuid's option. What
    is no uuid is quoted too: a login shell may read it, and a branch can have brought it.
    """
    shell = config.remote(name, "shell") or "git-annex-shell"
    words = " ".join(quoted(word) for word in ("p2pstdio", path, os.fsdecode(gateway)))
    last = os.fsdecode(uuid)
    return f"{shell} {words} --uuid {last if is_safe_uuid(uuid) else quoted(last)}"


def quoted(word: str) -> str:
    """``word`` in single quotes; the form that git-annex-shell's own unquoting knows."""
    return "'" + word.replace("'", "'\"'\"'") + "'"


def ssh_command(
    config: GitConfig, name: str, host: SshHost, command: str, socket: str | None
) -> list[str]:
    """The argv of OpenSSH's client; ``socket`` is where a shared connection is.

    Raises PeerUnreachable for options that are no words.
    """
    caching = ["-S", socket, *CACHING] if socket else []
    port = ["-p", str(host.port)] if host.port is not None else []
    try:
        options = shlex.split(config.remote(name, "ssh-options") or "")
    except ValueError as error:
        detail = f"its annex-ssh-options are wrong: {error}"
        raise PeerUnreachable(name=name, detail=detail) from error
    return ["ssh", host.host, *caching, *options, *port, "-T", command]


def socket_name(host: SshHost) -> str:
    """The file name of the shared connection to ``host``, as git-annex names it."""
    name = host.host if host.port is None else f"{host.host}!{host.port}"
    name = name.replace("%", "").replace("/", "_")
    if len(name) > _MAX_NAME:
        return hashlib.md5(os.fsencode(name), usedforsecurity=False).hexdigest()
    return name


def socket_path(directory: str, host: SshHost) -> str | None:
    """The path of the shared connection, absolute or relative, whichever is shorter.

    None if even that is longer than a socket's address may be.
    """
    absolute = os.path.join(directory, socket_name(host))
    shortest = min(absolute, os.path.relpath(absolute), key=len)
    return shortest if len(os.fsencode(shortest)) + _TEMPORARY < _MAX_PATH else None
