"""The remotes of a gateway: those its git config names, and those other gateways bring.

A git remote that is itself a gateway, and is reached over the network, makes one more
remote of each repository that its line of proxy.log names (spec 01 §11.2). They are never
written to git's config: their settings are those of the remote they are reached through.
Pure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import attrs

from annexshell.errors import PeerUnreachable
from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID, is_cluster_uuid, is_safe_uuid
from annexshell.remotes.recipes import LocalPath, recipe_for
from annexshell.repository.config import GitConfig

Lines = Mapping[UUID, Sequence[Proxied]]
"""proxy.log: what each gateway says it is a proxy for."""
Clusters = Mapping[UUID, frozenset[UUID]]

_Entry = tuple[UUID, bytes]
_MOST_LISTED = 64
"""Where more gateways list a repository, the way to it is not looked for."""

INHERITED = frozenset(("cost", "cost-command", "proxy", "shell", "ssh-options"))
"""The settings that matter here, of all that git-annex lets them inherit."""


@attrs.frozen
class Remote:
    """The repository ``uuid`` under the name it has here.

    ``via`` is the remote of git's config that has its url: itself, unless ``proxied_by``
    is the uuid of a gateway. ``behind`` is true for a node of a cluster that this gateway
    also offers. ``hops`` are the connections it takes to get there, for all we know.
    """

    name: str
    uuid: UUID
    via: str
    proxied_by: UUID | None = None
    behind: bool = False
    hops: int = 1

    def setting(self, config: GitConfig, name: str) -> str | None:
        """``annex-<name>`` of this remote; what is not inherited is the default's."""
        if self.proxied_by is None or name in INHERITED:
            return config.remote(self.via, name)
        return config.get(f"annex.{name}")


def remotes_of(config: GitConfig, lines: Lines, clusters: Clusters) -> list[Remote]:
    """Every remote with a uuid, in the order of the config; then the instantiated ones."""
    found = list(configured(config))
    return [*found, *instantiated(config, lines, clusters)]


def configured(config: GitConfig) -> Iterator[Remote]:
    """The remotes of git's config whose uuid is known."""
    for name in config.remotes():
        uuid = config.get(f"remote.{name}.annex-uuid")
        if uuid:
            yield Remote(name, UUID(os.fsencode(uuid)), name)


def instantiated(
    config: GitConfig, lines: Lines, clusters: Clusters
) -> Iterator[Remote]:
    """The remotes that are reached through a gateway that is a remote (spec 01 §11.2)."""
    taken, hops = set(config.remotes()), _Hops(lines)
    for gateway in configured(config):
        entries = lines.get(gateway.uuid, ())
        if not entries or not _is_over_network(config, gateway.name):
            continue
        nodes = _nodes_offered(entries, clusters)
        for uuid, word in entries:
            name = f"{gateway.name}-{os.fsdecode(word)}"
            # Of a branch that clients push to: it would go into a command at the gateway.
            if is_safe_uuid(uuid) and name not in taken:
                taken.add(name)
                count = 1 + hops.of(gateway.uuid, uuid, word)
                behind = uuid in nodes
                yield Remote(name, uuid, gateway.name, gateway.uuid, behind, count)


def _is_over_network(config: GitConfig, name: str) -> bool:
    # git-annex leaves out paths as well: their repositories can be reached themselves.
    try:
        return not isinstance(recipe_for(config, name), LocalPath)
    except PeerUnreachable:
        return False


def _nodes_offered(entries: Sequence[Proxied], clusters: Clusters) -> frozenset[UUID]:
    offered = [clusters.get(e.uuid, ()) for e in entries if is_cluster_uuid(e.uuid)]
    return frozenset().union(*offered)


class _Hops:
    """How many connections a gateway needs to reach what it lists.

    What it reaches through a gateway of its own is listed as ``GATEWAY-NAME``, with the
    name that the other gateway uses.
    """

    def __init__(self, lines: Lines) -> None:
        self._listed: dict[UUID, list[_Entry]] = {}
        self._known: dict[UUID, dict[_Entry, int]] = {}
        for gateway, entries in lines.items():
            for uuid, name in entries:
                self._listed.setdefault(uuid, []).append((gateway, name))

    def of(self, gateway: UUID, uuid: UUID, name: bytes) -> int:
        """For what the gateway lists as ``uuid:name``; 1 where that is not looked for."""
        if uuid not in self._known:
            # Once for all: a branch can list a repository under any number of names.
            self._known[uuid] = _counted(self._listed[uuid])
        return self._known[uuid].get((gateway, name), 1)


def _counted(listed: Sequence[_Entry]) -> dict[_Entry, int]:
    """The connections for each of ``listed``, all of them entries of one repository."""
    hops: dict[_Entry, int] = {}
    if len(listed) > _MOST_LISTED:
        return hops
    # Those that an entry can lead to have shorter names.
    for gateway, name in sorted(listed, key=lambda e: len(e[1])):
        further = [
            count
            for (other, end), count in hops.items()
            if other != gateway and end != name and name.endswith(b"-" + end)
        ]
        hops[gateway, name] = 1 + min(further, default=0)
    return hops
