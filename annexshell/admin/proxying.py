"""What a gateway is to say that it is a proxy for; pure (spec 01 §11.1, updateproxy)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from annexshell.admin.changes import Changes, Listed, ProxyChange, Snapshot
from annexshell.admin.remotes import PROXY, candidates, is_published, usable
from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID
from annexshell.proxy.routes import own_clusters


def update_proxy(
    known: Snapshot, nodes: Mapping[UUID, frozenset[UUID]] | None = None
) -> Changes:
    """Our line of proxy.log; ``nodes`` are those that clusters are about to have.

    A node that only other gateways reach is published under every name it has through
    them. What is private is left out: a client could not know what to do with it.
    """
    found = candidates(known)
    asked = [c for c in found if is_published(known.config, c.remote)]
    remotes, warnings = usable(asked, PROXY)
    clusters = own_clusters(known.config)
    living = {
        node
        for cluster in clusters.values()
        for node in (nodes or {}).get(cluster, known.living(cluster))
    }
    reached = living - known.dead - {remote.uuid for remote in remotes}
    behind = [c for c in found if c.remote.proxied_by and c.remote.uuid in reached]
    more, unusable = usable(behind, PROXY)
    remotes += more
    wanted = {Proxied(remote.uuid, os.fsencode(remote.name)) for remote in remotes}
    wanted |= {Proxied(uuid, os.fsencode(name)) for name, uuid in clusters.items()}
    entries = frozenset(e for e in wanted if e.uuid not in known.private)
    return Changes(proxy=_compared(known, entries), warnings=(*warnings, *unusable))


def _compared(known: Snapshot, entries: frozenset[Proxied]) -> ProxyChange:
    recorded = frozenset(known.lines.get(known.gateway, ()))
    return ProxyChange(
        entries,
        tuple(
            Listed(entry.uuid, entry.name, entry in entries)
            for entry in sorted(entries ^ recorded)
        ),
    )
