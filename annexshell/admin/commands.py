"""The operator's commands on clusters and proxying, from beginning to end (spec 01 §11.1)."""

from __future__ import annotations

from collections.abc import Callable

from annexshell.admin.changes import Changes, Snapshot, apply, changing, snapshot
from annexshell.admin.clusters import (
    extend_cluster,
    init_cluster,
    new_cluster_uuid,
    update_clusters,
)
from annexshell.admin.gateway import Gateway
from annexshell.admin.proxying import update_proxy
from annexshell.admin.uuids import uuids_found

Plan = Callable[[Snapshot], Changes]


def updateproxy(gateway: Gateway, *, dry_run: bool = False) -> Changes:
    """Publish what the config says is to be proxied to. Raises as `carry_out` does."""
    return carry_out(gateway, _with_uuids(gateway, update_proxy), dry_run=dry_run)


def updatecluster(gateway: Gateway, *, dry_run: bool = False) -> Changes:
    """Record the nodes that the config says clusters have; then as `updateproxy`."""
    return carry_out(gateway, _with_uuids(gateway, update_clusters), dry_run=dry_run)


def initcluster(
    gateway: Gateway, name: str, description: str | None, *, dry_run: bool = False
) -> Changes:
    """Make a cluster. Raises BadClusterName, and as `carry_out` does."""
    uuid = new_cluster_uuid()
    return carry_out(
        gateway,
        lambda known: init_cluster(known, name, description, uuid),
        dry_run=dry_run,
    )


def extendcluster(
    gateway: Gateway, other: str, name: str, *, dry_run: bool = False
) -> Changes:
    """Become a gateway of the cluster that the remote ``other`` offers; `updatecluster`.

    Raises NoSuchRemote, NotACluster, OtherCluster, BadClusterName, and as `carry_out` does.
    """
    path = gateway.repository.path

    def join(known: Snapshot) -> Changes:
        joined = extend_cluster(known, other, name, path)
        return joined + update_clusters(known.setting(joined.settings))

    return carry_out(gateway, _with_uuids(gateway, join, other), dry_run=dry_run)


def carry_out(gateway: Gateway, plan: Plan, *, dry_run: bool) -> Changes:
    """Do what ``plan`` says is to change, and commit it.

    A ``dry_run`` writes nothing; it knows nothing of branches of clones that were fetched
    and are not merged yet. Raises ShellError, RequestError and OSError; each leaves a state
    in which the same command can be given again.
    """
    with changing(gateway, dry_run=dry_run) as now:
        changes = plan(snapshot(now))
        if not dry_run and not changes.none:
            apply(now, changes)
            now.branch.settle()
        return changes


def _with_uuids(gateway: Gateway, plan: Plan, *more: str) -> Plan:
    """``plan``, with the uuids of remotes that are not known yet.

    They are asked for before anything is locked: the network may be slow.
    """
    found = uuids_found(gateway.repository, more)

    def both(known: Snapshot) -> Changes:
        new = tuple(one for one in found if known.config.get(one.name) is None)
        return Changes(new) + plan(known.setting(new))

    return both
