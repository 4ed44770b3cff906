"""Giving a cluster another name, which git-annex has no command for (spec 01 §16).

The new name is there before anything uses it, and the old one goes when nothing does: at
each moment the cluster is served under one of them at least, and what a crash leaves is
completed by doing it again.
"""

from __future__ import annotations

import os

import attrs

from annexshell.admin.changes import Setting, changing, write_settings
from annexshell.admin.changing import (
    change_description,
    change_proxied,
    unset_config,
)
from annexshell.admin.clusters import check_name
from annexshell.admin.errors import ClusterNameTaken
from annexshell.admin.gateway import Gateway
from annexshell.admin.topology import cluster_uuid
from annexshell.errors import printable
from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID
from annexshell.proxy.routes import own_clusters

_NODE_SETTING = ".annex-cluster-node"


@attrs.frozen
class Renaming:
    """What is to change. ``settings`` are the git config names that list the old name."""

    old: str
    new: str
    uuid: UUID
    settings: tuple[str, ...]
    published: bool
    """Whether the gateway's line of proxy.log has the cluster under another name."""
    described: bool
    """Whether the description is the one that initcluster gave."""

    @property
    def steps(self) -> list[str]:
        """For a person, each fit to be printed."""
        steps = [f"set annex.cluster.{self.new} to {printable(self.uuid)}"]
        steps += [f"change {printable(setting)}" for setting in self.settings]
        if self.published:
            steps.append(f"publish the cluster as {self.new} in proxy.log")
        if self.described:
            steps.append(f"describe it as: cluster {self.new}")
        return [*steps, f"unset annex.cluster.{self.old}"]

    def as_json(self) -> dict[str, object]:
        """For a program to read."""
        return {
            "old": self.old,
            "new": self.new,
            "uuid": printable(self.uuid),
            "settings": [printable(setting) for setting in self.settings],
            "published": self.published,
            "described": self.described,
        }


def plan_renaming(gateway: Gateway, old: str, new: str) -> Renaming:
    """What renaming ``old`` takes; nothing is changed.

    Raises NoSuchCluster, BadClusterName, ClusterNameTaken, BranchUnreadable and
    JournalFailed.
    """
    uuid, old = cluster_uuid(gateway, old), old.lower()
    check_name(new)
    entries = gateway.branch.proxied_by(gateway.uuid)
    _check_free(gateway, uuid, old, new, entries)
    description = gateway.branch.descriptions().get(uuid)
    return Renaming(
        old,
        new,
        uuid,
        tuple(_settings(gateway, old)),
        any(e.uuid == uuid and e.name == os.fsencode(old) for e in entries),
        description == b"cluster " + os.fsencode(old),
    )


def _check_free(
    gateway: Gateway, uuid: UUID, old: str, new: str, entries: tuple[Proxied, ...]
) -> None:
    if old == new or own_clusters(gateway.config).get(new, uuid) != uuid:
        raise ClusterNameTaken(name=new, what="a cluster here")
    # A value that is no cluster's uuid is somebody's mistake, and not ours to write over.
    if (gateway.config.get(f"annex.cluster.{new}") or os.fsdecode(uuid)) != os.fsdecode(
        uuid
    ):
        raise ClusterNameTaken(name=new, what="something that is no cluster, here")
    if any(e.name == os.fsencode(new) and e.uuid != uuid for e in entries):
        raise ClusterNameTaken(name=new, what="a remote that clients see")


def _settings(gateway: Gateway, old: str) -> list[str]:
    """The settings that list ``old``: of remotes, and the default of all remotes."""
    names = [n for n in gateway.config.names("remote.") if n.endswith(_NODE_SETTING)]
    names.append("annex.cluster-node")
    return [n for n in names if old in _listed(gateway, n)]


def _listed(gateway: Gateway, setting: str) -> list[str]:
    return (gateway.config.get(setting) or "").lower().split()


def rename(gateway: Gateway, old: str, new: str, *, dry_run: bool = False) -> Renaming:
    """Give the cluster ``old`` the name ``new``; a ``dry_run`` only says what it takes.

    Raises what `plan_renaming` and `changing` do, AccessFailed, ConfigNotWritten,
    BranchNotCommitted, LockTimeout and OSError; each leaves a state in which the same can
    be done again.
    """
    with changing(gateway, dry_run=dry_run) as now:
        plan = plan_renaming(now, old, new)
        if not dry_run:
            _carry_out(now, plan)
        return plan


def _carry_out(gateway: Gateway, plan: Renaming) -> None:
    """In an order that can be taken up again (see above)."""
    settings = [Setting(f"annex.cluster.{plan.new}", os.fsdecode(plan.uuid))]
    for name in plan.settings:
        words = _listed(gateway, name)
        changed = dict.fromkeys(plan.new if w == plan.old else w for w in words)
        settings.append(Setting(name, " ".join(changed)))
    write_settings(gateway.repository, settings)
    change_proxied(gateway, lambda entries: (_renamed(e, plan) for e in entries))
    if plan.described:
        text = b"cluster " + os.fsencode(plan.new)
        change_description(gateway, plan.uuid, text)
    gateway.branch.settle()
    unset_config(gateway, f"annex.cluster.{plan.old}")


def _renamed(entry: Proxied, plan: Renaming) -> Proxied:
    ours = entry.uuid == plan.uuid and entry.name == os.fsencode(plan.old)
    return entry._replace(name=os.fsencode(plan.new)) if ours else entry
