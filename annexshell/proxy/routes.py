"""Who answers for a uuid that is not ours; pure (spec 01 §7.1).

The git-annex branch can be written by clients, so what it says is never enough: the git
config of the gateway, which only its operator writes, must allow each remote as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import attrs

from annexshell.errors import (
    CannotServeCluster,
    NotConfiguredToProxy,
    ShellError,
    UUIDMismatch,
)
from annexshell.model.ids import UUID, is_cluster_uuid
from annexshell.proxy.costs import prices
from annexshell.proxy.instantiated import Clusters, Lines, Remote, remotes_of
from annexshell.repository.config import GitConfig, as_boolean

_CLUSTER = "annex.cluster."


@attrs.frozen
class Published:
    """What the git-annex branch says.

    ``lines`` is proxy.log; ``clusters`` are the living nodes of cluster.log.
    """

    lines: Lines = attrs.field(factory=dict)
    clusters: Clusters = attrs.field(factory=dict)
    descriptions: dict[UUID, bytes] = attrs.field(factory=dict)


@attrs.frozen
class ClusterRoute:
    """The cluster ``uuid``, known to people as ``name``."""

    uuid: UUID
    name: str


def route(
    config: GitConfig,
    gateway: UUID,
    asked: UUID,
    published: Published,
    path: str,
    price: Callable[[Sequence[Remote]], Sequence[float]] | None = None,
) -> Remote | ClusterRoute:
    """The remote or the cluster that answers; ``path`` is the gateway's, to be told.

    ``price`` says what remotes cost; it is asked only if there are several. Raises
    UUIDMismatch, NotConfiguredToProxy, CannotServeCluster.
    """
    lines, clusters = published.lines, published.clusters
    names = {os.fsdecode(e.name) for e in lines.get(gateway, ()) if e.uuid == asked}
    if names:
        remotes = remotes_of(config, lines, clusters)
        if is_cluster_uuid(asked):
            return _cluster(config, remotes, asked, clusters, min(names))
        named = [r for r in remotes if r.uuid == asked and r.name in names]
        found = [r for r in named if _is_allowed(config, r, remotes)]
        if found:
            return _cheapest(found, price or partial(prices, config))
    raise _refusal(gateway, asked, published, path)


def _refusal(gateway: UUID, asked: UUID, published: Published, path: str) -> ShellError:
    description = published.descriptions.get(asked)
    if published.lines.get(gateway) and description:
        return NotConfiguredToProxy(description=description)
    return UUIDMismatch(expected=asked, found=gateway, path=path)


def _cheapest(
    remotes: Sequence[Remote], price: Callable[[Sequence[Remote]], Sequence[float]]
) -> Remote:
    if len(remotes) == 1:
        return remotes[0]
    priced = zip(remotes, price(remotes), strict=True)
    return min(priced, key=lambda pair: (pair[1], pair[0].hops))[0]


def _is_allowed(config: GitConfig, remote: Remote, remotes: Iterable[Remote]) -> bool:
    if as_boolean(remote.setting(config, "proxy"), False):
        return True
    if clusters_of_node(config, remote.setting(config, "cluster-node") or ""):
        return True
    return any(
        r.uuid == remote.proxied_by
        for r in remotes
        if (r.setting(config, "cluster-gateway") or "").split()
    )


def clusters_of_node(config: GitConfig, names: str) -> frozenset[UUID]:
    """The clusters that ``annex-cluster-node`` names, if they are configured here."""
    own = own_clusters(config)
    return frozenset(own[n] for n in names.lower().split() if n in own)


def own_clusters(config: GitConfig) -> dict[str, UUID]:
    """The clusters that the repository is a gateway of, by name."""
    found = {
        setting[len(_CLUSTER) :]: UUID(os.fsencode(config.get(setting) or ""))
        for setting in config.names(_CLUSTER)
    }
    return {name: uuid for name, uuid in found.items() if is_cluster_uuid(uuid)}


def offers_cluster(
    config: GitConfig, remotes: Iterable[Remote], cluster: UUID
) -> frozenset[UUID]:
    """The repositories that the config says are other gateways of the cluster."""
    word = os.fsdecode(cluster)
    return frozenset(
        r.uuid
        for r in remotes
        if word in (r.setting(config, "cluster-gateway") or "").split()
    )


def _cluster(
    config: GitConfig,
    remotes: Sequence[Remote],
    asked: UUID,
    clusters: Clusters,
    listed: str,
) -> ClusterRoute:
    """The cluster, if it is one of ours: an unknown one would look like an empty one."""
    if asked not in clusters:
        detail = (
            "cluster.log does not list it; run annexshell-admin updatecluster there"
        )
        raise CannotServeCluster(uuid=asked, detail=detail)
    names = [name for name, uuid in own_clusters(config).items() if uuid == asked]
    gateways = offers_cluster(config, remotes, asked)
    reached = any(r.proxied_by in gateways for r in remotes if r.uuid == asked)
    if not names and not reached:
        detail = (
            "no annex.cluster.NAME of the gateway's git config has this uuid, and none of"
            " its remotes is a gateway of it; set it, or run annexshell-admin extendcluster"
        )
        raise CannotServeCluster(uuid=asked, detail=detail)
    return ClusterRoute(asked, min(names, default=listed))
