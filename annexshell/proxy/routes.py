"""Who answers for a uuid that is not ours; pure (spec 01 §7.1).

The git-annex branch can be written by clients, so what it says is never enough: the git
config of the gateway, which only its operator writes, must allow each remote as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import attrs

from annexshell.errors import (
    CannotServeCluster,
    NotConfiguredToProxy,
    ShellError,
    UUIDMismatch,
)
from annexshell.model.ids import UUID, is_cluster_uuid
from annexshell.repository.config import GitConfig, as_boolean

_LOCAL_COST = 100.0
_NETWORK_COST = 200.0


@attrs.frozen
class Published:
    """What the git-annex branch says: our own line of proxy.log, and descriptions.

    ``entries`` is None if there is no such line.
    """

    entries: frozenset[tuple[UUID, bytes]] | None
    descriptions: dict[UUID, bytes]


def route(
    config: GitConfig, gateway: UUID, asked: UUID, published: Published, path: str
) -> str:
    """The name of the remote to proxy to; ``path`` is the gateway's, to be told.

    Raises UUIDMismatch, NotConfiguredToProxy, CannotServeCluster.
    """
    entries = published.entries
    names = {name for uuid, name in entries or () if uuid == asked}
    if names and is_cluster_uuid(asked):
        raise CannotServeCluster(uuid=asked)
    if names:
        for remote in _candidates(config, asked):
            if os.fsencode(remote) in names and _is_allowed(config, remote):
                return remote
    raise _refusal(gateway, asked, published, path)


def _refusal(gateway: UUID, asked: UUID, published: Published, path: str) -> ShellError:
    description = published.descriptions.get(asked)
    if published.entries is not None and description:
        return NotConfiguredToProxy(description=description)
    return UUIDMismatch(expected=asked, found=gateway, path=path)


def _candidates(config: GitConfig, asked: UUID) -> Iterable[str]:
    """The remotes that have the uuid, cheapest first."""
    found = (
        remote
        for remote in config.remotes()
        if config.get(f"remote.{remote}.annex-uuid") == os.fsdecode(asked)
    )
    return sorted(found, key=lambda remote: cost(config, remote))


def cost(config: GitConfig, remote: str) -> float:
    """annex-cost, or git-annex's default for the kind of url (spec 01 §8.2)."""
    text = config.remote(remote, "cost")
    try:
        return float(text or "")
    except ValueError:
        url = config.get(f"remote.{remote}.url") or ""
        return _NETWORK_COST if ":" in url.split("/")[0] else _LOCAL_COST


def _is_allowed(config: GitConfig, remote: str) -> bool:
    if as_boolean(config.remote(remote, "proxy"), False):
        return True
    clusters = (config.remote(remote, "cluster-node") or "").split()
    return any(config.get(f"annex.cluster.{name.lower()}") for name in clusters)
