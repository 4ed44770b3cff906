"""Taking a node out of a cluster, unless copies that are needed would be out of sight.

Nothing at the node is deleted. What makes it a node in the git config goes last: what a
crash leaves is completed by doing it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

import attrs

from annexshell.admin.changes import Setting, changing, write_settings
from annexshell.admin.changing import (
    change_nodes,
    change_proxied,
    unset_config,
)
from annexshell.admin.errors import (
    HoldsLastCopies,
    NodeByDefault,
    NodeElsewhere,
    NotANode,
)
from annexshell.admin.gateway import Gateway
from annexshell.admin.topology import (
    Cluster,
    Member,
    Standing,
    node_names,
    topology,
    uuid_of,
)
from annexshell.errors import printable
from annexshell.logs import clusters
from annexshell.logs.mapped import Trust
from annexshell.logs.numcopies import numcopies as numcopies_in
from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID, is_cluster_uuid
from annexshell.repository.config import as_boolean
from annexshell.repository.holdings import holdings

_SHOWN = 5


@attrs.frozen
class Needed:
    """The keys of which too few copies would be left: how many, and the first names."""

    count: int
    first: tuple[str, ...]
    numcopies: int


@attrs.frozen
class Leaving:
    """What is to change. ``remotes`` are those whose annex-cluster-node has the cluster.

    ``recorded`` tells whether cluster.log changes, and ``published`` which entries of the
    gateway's line of proxy.log go.
    """

    cluster: str
    cluster_uuid: UUID
    node: str
    uuid: UUID
    remotes: tuple[str, ...]
    recorded: bool
    published: tuple[Proxied, ...]
    needed: Needed

    @property
    def steps(self) -> list[str]:
        """For a person, each fit to be printed."""
        steps = [f"stop proxying for {printable(e.name)}" for e in self.published]
        if self.recorded:
            steps.append(f"take {printable(self.uuid)} out of cluster.log")
        for remote in self.remotes:
            setting = printable(_setting(remote))
            steps.append(f"take {printable(self.cluster)} out of {setting}")
        return steps

    def as_json(self) -> dict[str, object]:
        """For a program to read."""
        return {
            "cluster": printable(self.cluster),
            "node": printable(self.node),
            "uuid": printable(self.uuid),
            "remotes": [printable(remote) for remote in self.remotes],
            "recorded": self.recorded,
            "published": [printable(entry.name) for entry in self.published],
            "needed": self.needed.count,
            "numcopies": self.needed.numcopies,
        }


def plan_leaving(gateway: Gateway, name: str, node: str) -> Leaving:
    """What taking ``node`` out of the cluster takes; nothing is changed.

    ``node`` is a remote or a uuid. Raises NoSuchCluster, NotANode, NodeElsewhere,
    NodeByDefault, BranchUnreadable and JournalFailed.
    """
    [cluster] = topology(gateway, [name])
    member, remotes = _leaving(gateway, cluster, node)
    staying = _stays(cluster, member, remotes)
    recorded = clusters.clusters(gateway.branch.read(b"cluster.log"))
    return Leaving(
        cluster.name,
        cluster.uuid,
        node,
        member.uuid,
        remotes,
        not staying and member.uuid in recorded.get(cluster.uuid, ()),
        tuple(_unpublished(gateway, cluster, member.uuid, remotes)),
        _nothing(gateway) if staying else needed(gateway, member.uuid),
    )


def _leaving(
    gateway: Gateway, cluster: Cluster, node: str
) -> tuple[Member, tuple[str, ...]]:
    """Who is meant by ``node``, and the remotes that are nodes no more."""
    members = [m for m in cluster.members if m.standing is not Standing.GATEWAY]
    named = [m for m in members if m.name and m.name == node]
    found = named or [m for m in members if os.fsdecode(m.uuid) == node]
    if not found:
        raise NotANode(name=node, cluster=cluster.name)
    if found[0].standing is Standing.ELSEWHERE:
        raise NodeElsewhere(name=node, cluster=cluster.name)
    remotes = tuple(m.remote for m in found if m.remote)
    for remote in remotes:
        if gateway.config.get(_setting(remote)) is None:
            raise NodeByDefault(name=remote, cluster=cluster.name)
    return found[0], remotes


def _stays(cluster: Cluster, member: Member, remotes: tuple[str, ...]) -> bool:
    """Whether another remote with its uuid is still a node."""
    return any(
        m.uuid == member.uuid and m.remote and m.remote not in remotes
        for m in cluster.members
    )


def _unpublished(
    gateway: Gateway, cluster: Cluster, uuid: UUID, remotes: tuple[str, ...]
) -> Iterator[Proxied]:
    """The entries that git annex updateproxy would not make any more (spec 01 §11.1)."""
    for entry in gateway.branch.proxied_by(gateway.uuid):
        remote = os.fsdecode(entry.name)
        if entry.uuid == uuid and not _proxied(gateway, cluster, remote, uuid, remotes):
            yield entry


def _proxied(
    gateway: Gateway,
    cluster: Cluster,
    remote: str,
    uuid: UUID,
    remotes: tuple[str, ...],
) -> bool:
    config = gateway.config
    if uuid_of(config, remote) != uuid:
        return False
    if as_boolean(config.remote(remote, "proxy"), False):
        return True
    gone = {cluster.name} if remote in remotes else set()
    return not gone.issuperset(node_names(config, remote))


# -- copies that are needed ------------------------------------------------------------------


def needed(gateway: Gateway, node: UUID) -> Needed:
    """The keys the node has by the location log and too few others have.

    Dead and untrusted repositories do not count, nor do clusters. A dead node has nothing
    that could be missed. Raises BranchUnreadable and JournalFailed.
    """
    trust = gateway.branch.trust()
    if trust.get(node) is Trust.DEAD:
        return _nothing(gateway)
    distrusted = (Trust.DEAD, Trust.UNTRUSTED)
    uncounted = {uuid for uuid, level in trust.items() if level in distrusted} | {node}
    wanted = numcopies(gateway)
    names = (
        found
        for found in holdings(gateway.repository, gateway.branch)
        if node in found.holders and _count(found.holders - uncounted) < wanted
    )
    first = tuple(found.spelled for found in islice(names, _SHOWN))
    return Needed(len(first) + sum(1 for _ in names), first, wanted)


def _nothing(gateway: Gateway) -> Needed:
    return Needed(0, (), numcopies(gateway))


def _count(holders: frozenset[UUID]) -> int:
    return sum(not is_cluster_uuid(uuid) for uuid in holders)


def numcopies(gateway: Gateway) -> int:
    """How many copies the operator wants of every key, at least 1 (spec 03 §4.4).

    numcopies.log comes before annex.numcopies of the git config, as with git-annex, and
    mincopies.log may ask for more; the settings of single files in .gitattributes are not
    looked at. Raises BranchUnreadable and JournalFailed.
    """
    wanted = numcopies_in(gateway.branch.read(b"numcopies.log"))
    if wanted is None:
        wanted = gateway.config.integer("annex.numcopies", 1)
    return max(1, wanted, numcopies_in(gateway.branch.read(b"mincopies.log")) or 1)


# -- doing it --------------------------------------------------------------------------------


def remove_node(
    gateway: Gateway,
    name: str,
    node: str,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> Leaving:
    """Take ``node`` out of the cluster ``name``; a ``dry_run`` only says what it takes.

    Raises HoldsLastCopies unless there is ``force``, what `plan_leaving` and `changing`
    do, AccessFailed, ConfigNotWritten, BranchNotCommitted, LockTimeout and OSError; each
    leaves a state in which the same can be done again.
    """
    with changing(gateway, dry_run=dry_run) as now:
        plan = plan_leaving(now, name, node)
        if not force:
            _check(plan)
        if not dry_run:
            _carry_out(now, plan)
        return plan


def _check(plan: Leaving) -> None:
    if plan.needed.count:
        more = ", ..." if plan.needed.count > len(plan.needed.first) else ""
        raise HoldsLastCopies(
            name=plan.node,
            count=f"{plan.needed.count} key{'' if plan.needed.count == 1 else 's'}",
            numcopies=plan.needed.numcopies,
            first=", ".join(plan.needed.first) + more,
        )


def _carry_out(gateway: Gateway, plan: Leaving) -> None:
    """In an order that can be taken up again (see above)."""
    gone = frozenset(plan.published)
    if gone:
        change_proxied(gateway, lambda entries: (e for e in entries if e not in gone))
    if plan.recorded:
        change_nodes(gateway, plan.cluster_uuid, lambda nodes: nodes - {plan.uuid})
    gateway.branch.settle()
    for remote in plan.remotes:
        words = [w for w in node_names(gateway.config, remote) if w != plan.cluster]
        if words:
            setting = Setting(_setting(remote), " ".join(words))
            write_settings(gateway.repository, [setting])
        else:
            unset_config(gateway, _setting(remote))


def _setting(remote: str) -> str:
    return f"remote.{remote}.annex-cluster-node"
