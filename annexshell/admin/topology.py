"""The clusters of a gateway as config and branch describe them (spec 01 §8.1, §8.2).

Unlike what serves a cluster, this also knows whoever ought to be a node and is not: it is
what the operator looks at to find out why.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum

import attrs

from annexshell.admin.errors import NoSuchCluster
from annexshell.admin.gateway import Gateway
from annexshell.errors import PeerUnreachable
from annexshell.logs import clusters, proxies
from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID
from annexshell.proxy.instantiated import Remote, instantiated
from annexshell.proxy.routes import own_clusters
from annexshell.remotes.recipes import LocalPath, SshHost, recipe_for
from annexshell.repository.config import GitConfig


class Standing(Enum):
    """What a member is to the cluster."""

    NODE = "node"
    GATEWAY = "gateway"
    """The same cluster through another gateway."""
    NOT_RECORDED = "not-recorded"
    """A node by the config, which cluster.log does not have."""
    NO_REMOTE = "no-remote"
    """In cluster.log, and no remote here is configured as that node."""
    ELSEWHERE = "elsewhere"
    """The same, and another gateway publishes it: a node behind that one."""
    DEAD = "dead"


@attrs.frozen
class Member:
    """One who is, or should be, part of a cluster.

    ``name`` is the remote's name here, ``GATEWAY-NAME`` for one behind another gateway,
    and empty for who has none. ``remote`` is the remote that leads there, empty if there is
    none. ``how`` is ``path``, ``ssh`` or empty; ``problem`` says why it is empty although
    there is a remote.
    """

    name: str
    uuid: UUID
    standing: Standing
    description: bytes = b""
    remote: str = ""
    recipe: LocalPath | SshHost | None = None
    problem: PeerUnreachable | None = None
    link: Remote | None = None
    """The remote as costs know it."""

    @property
    def how(self) -> str:
        if self.recipe is None:
            return ""
        return "path" if isinstance(self.recipe, LocalPath) else "ssh"


@attrs.frozen
class Cluster:
    """A cluster that this repository is a gateway of."""

    name: str
    uuid: UUID
    description: bytes
    members: tuple[Member, ...]


def cluster_uuid(gateway: Gateway, name: str) -> UUID:
    """The uuid of the cluster ``name``. Raises NoSuchCluster."""
    known = own_clusters(gateway.config)
    if name.lower() not in known:
        there = ", ".join(sorted(known)) or "none"
        raise NoSuchCluster(name=name, path=gateway.repository.path, there=there)
    return known[name.lower()]


def node_names(config: GitConfig, remote: str) -> list[str]:
    """The clusters that ``remote`` is configured as a node of, in lower case."""
    return (config.remote(remote, "cluster-node") or "").lower().split()


def uuid_of(config: GitConfig, remote: str) -> UUID:
    """The uuid that a remote is expected to have, empty if that is not known."""
    return UUID(os.fsencode(config.get(f"remote.{remote}.annex-uuid") or ""))


def configured_nodes(config: GitConfig, name: str) -> list[str]:
    """The remotes configured as nodes of the cluster ``name``, sorted."""
    return sorted(r for r in config.remotes() if name in node_names(config, r))


def topology(gateway: Gateway, names: Sequence[str] = ()) -> list[Cluster]:
    """The clusters of these names, all if there are none, sorted by name.

    Raises NoSuchCluster, BranchUnreadable and JournalFailed.
    """
    known = own_clusters(gateway.config)
    wanted = {name.lower(): cluster_uuid(gateway, name) for name in names} or known
    survey = _Survey.of(gateway)
    return [survey.cluster(name, wanted[name]) for name in sorted(wanted)]


@attrs.frozen
class _Survey:
    """What the logs say, read once, and the remotes that follow from it."""

    gateway: Gateway
    descriptions: dict[UUID, bytes]
    recorded: dict[UUID, frozenset[UUID]]
    dead: frozenset[UUID]
    behind: tuple[Remote, ...]

    @classmethod
    def of(cls, gateway: Gateway) -> _Survey:
        branch = gateway.branch
        recorded = clusters.clusters(branch.read(b"cluster.log"))
        dead = [u for u, level in branch.trust().items() if level is Trust.DEAD]
        lines = proxies.proxied_by(branch.read(b"proxy.log"))
        living = clusters.without_dead(recorded, dead)
        return cls(
            gateway,
            branch.descriptions(),
            recorded,
            frozenset(dead),
            tuple(instantiated(gateway.config, lines, living)),
        )

    def cluster(self, name: str, uuid: UUID) -> Cluster:
        config = self.gateway.config
        here = [self._node(r, uuid) for r in configured_nodes(config, name)]
        gateways = [r for r in sorted(config.remotes()) if self._offers(r, uuid)]
        behind = [self._gateway(r, uuid) for r in gateways]
        others = self.recorded.get(uuid, frozenset()) - {m.uuid for m in here}
        rest = [self._recorded_only(node, gateways) for node in sorted(others)]
        members = (*here, *behind, *rest)
        return Cluster(name, uuid, self.descriptions.get(uuid, b""), members)

    def _node(self, name: str, cluster: UUID) -> Member:
        uuid = uuid_of(self.gateway.config, name)
        if uuid in self.dead:
            standing = Standing.DEAD
        elif uuid in self.recorded.get(cluster, ()):
            standing = Standing.NODE
        else:
            standing = Standing.NOT_RECORDED
        return self._reached(Remote(name, uuid, name), standing)

    def _offers(self, remote: str, cluster: UUID) -> bool:
        words = self.gateway.config.remote(remote, "cluster-gateway") or ""
        return os.fsdecode(cluster) in words.split()

    def _gateway(self, remote: str, cluster: UUID) -> Member:
        config = self.gateway.config
        for found in self.behind:
            if found.via == remote and found.uuid == cluster:
                return self._reached(found, Standing.GATEWAY)
        problem = PeerUnreachable(name=remote, detail=_not_behind(config, remote))
        about = self.descriptions.get(cluster, b"")
        return Member("", cluster, Standing.GATEWAY, about, remote, problem=problem)

    def _recorded_only(self, uuid: UUID, gateways: Sequence[str]) -> Member:
        about = self.descriptions.get(uuid, b"")
        if uuid in self.dead:
            return Member("", uuid, Standing.DEAD, about)
        for found in self.behind:
            if found.uuid == uuid and found.via in gateways:
                return Member(found.name, uuid, Standing.ELSEWHERE, about, found.via)
        return Member("", uuid, Standing.NO_REMOTE, about)

    def _reached(self, remote: Remote, standing: Standing) -> Member:
        config = self.gateway.config
        about = self.descriptions.get(remote.uuid, b"")
        member = Member(
            remote.name, remote.uuid, standing, about, remote.via, link=remote
        )
        try:
            return attrs.evolve(member, recipe=recipe_for(config, remote.via))
        except PeerUnreachable as error:
            return attrs.evolve(member, problem=error)


def _not_behind(config: GitConfig, remote: str) -> str:
    """Why a gateway of the cluster gives no remote that leads to it (spec 01 §11.2)."""
    try:
        if isinstance(recipe_for(config, remote), LocalPath):
            return "a gateway is only used over ssh, not by path"
    except PeerUnreachable as error:
        return str(error.fields.get("detail"))
    return (
        "it does not publish the cluster, or a remote here has the name it would have;"
        " fetch its git-annex branch, and merge it"
    )
