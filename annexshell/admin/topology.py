"""The clusters of a gateway as config and branch describe them (spec 01 §8.1, §8.2).

Unlike what serves a cluster, this also knows whoever ought to be a node and is not: it is
what the operator looks at to find out why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from enum import Enum

import attrs

from annexshell.admin.errors import NoSuchCluster
from annexshell.admin.gateway import Gateway
from annexshell.errors import PeerUnreachable
from annexshell.logs import clusters, proxies
from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID, is_cluster_uuid
from annexshell.proxy.routes import cost
from annexshell.remotes.recipes import LocalPath, SshHost, recipe_for
from annexshell.repository.config import GitConfig

_PREFIX = "annex.cluster."


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
    cost: float | None = None

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


def cluster_uuids(config: GitConfig) -> dict[str, UUID]:
    """annex.cluster.NAME by name, without values that are not of the form."""
    found = {}
    for setting in config.names(_PREFIX):
        uuid = UUID(os.fsencode(config.get(setting) or ""))
        if is_cluster_uuid(uuid):
            found[setting.removeprefix(_PREFIX)] = uuid
    return found


def cluster_uuid(gateway: Gateway, name: str) -> UUID:
    """The uuid of the cluster ``name``. Raises NoSuchCluster."""
    known = cluster_uuids(gateway.config)
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
    known = cluster_uuids(gateway.config)
    wanted = {name.lower(): cluster_uuid(gateway, name) for name in names} or known
    survey = _Survey.of(gateway)
    return [survey.cluster(name, wanted[name]) for name in sorted(wanted)]


@attrs.frozen
class _Survey:
    """What the logs say, read once."""

    gateway: Gateway
    descriptions: dict[UUID, bytes]
    recorded: dict[UUID, frozenset[UUID]]
    dead: frozenset[UUID]
    published: dict[UUID, tuple[proxies.Proxied, ...]]

    @classmethod
    def of(cls, gateway: Gateway) -> _Survey:
        branch = gateway.branch
        return cls(
            gateway,
            branch.descriptions(),
            clusters.clusters(branch.read(b"cluster.log")),
            frozenset(u for u, level in branch.trust().items() if level is Trust.DEAD),
            proxies.proxied_by(branch.read(b"proxy.log")),
        )

    def cluster(self, name: str, uuid: UUID) -> Cluster:
        here = [self._configured(r, uuid) for r in self._remotes(name)]
        behind = list(self._gateways(uuid))
        seen = {member.uuid for member in here}
        others = self.recorded.get(uuid, frozenset()) - seen
        rest = [self._recorded_only(node) for node in sorted(others)]
        members = (*here, *behind, *rest)
        return Cluster(name, uuid, self.descriptions.get(uuid, b""), members)

    def _remotes(self, name: str) -> list[str]:
        return configured_nodes(self.gateway.config, name)

    def _configured(self, remote: str, cluster: UUID) -> Member:
        uuid = uuid_of(self.gateway.config, remote)
        if uuid in self.dead:
            standing = Standing.DEAD
        elif uuid in self.recorded.get(cluster, ()):
            standing = Standing.NODE
        else:
            standing = Standing.NOT_RECORDED
        return self._reached(remote, remote, uuid, standing)

    def _gateways(self, cluster: UUID) -> Iterator[Member]:
        config = self.gateway.config
        for remote in sorted(config.remotes()):
            if os.fsdecode(cluster) in self._gateway_of(remote):
                name = self._name_behind(uuid_of(config, remote), remote, cluster)
                member = self._reached(name, remote, cluster, Standing.GATEWAY)
                yield _checked_gateway(member)

    def _gateway_of(self, remote: str) -> list[str]:
        return (self.gateway.config.remote(remote, "cluster-gateway") or "").split()

    def _name_behind(self, gateway: UUID, remote: str, uuid: UUID) -> str:
        for entry in self.published.get(gateway, ()):
            if entry.uuid == uuid:
                return f"{remote}-{os.fsdecode(entry.name)}"
        return ""

    def _recorded_only(self, uuid: UUID) -> Member:
        name, via, standing = "", "", Standing.NO_REMOTE
        config = self.gateway.config
        for remote in sorted(config.remotes()):
            found = self._name_behind(uuid_of(config, remote), remote, uuid)
            if found and self._gateway_of(remote):
                name, via, standing = found, remote, Standing.ELSEWHERE
        if uuid in self.dead:
            via, standing = "", Standing.DEAD
        return Member(name, uuid, standing, self.descriptions.get(uuid, b""), via)

    def _reached(
        self, name: str, remote: str, uuid: UUID, standing: Standing
    ) -> Member:
        config = self.gateway.config
        member = Member(
            name,
            uuid,
            standing,
            self.descriptions.get(uuid, b""),
            remote,
            cost=cost(config, remote),
        )
        try:
            return attrs.evolve(member, recipe=recipe_for(config, remote))
        except PeerUnreachable as error:
            return attrs.evolve(member, problem=error)


def _checked_gateway(member: Member) -> Member:
    """A gateway as git-annex would find it (spec 01 §11.2)."""
    detail = ""
    if not member.name:
        detail = (
            "it publishes no such cluster; fetch its git-annex branch, and merge it"
        )
    elif isinstance(member.recipe, LocalPath):
        detail = "a gateway is only used over ssh, not by path"
    if not detail:
        return member
    problem = PeerUnreachable(name=member.remote, detail=detail)
    return attrs.evolve(member, recipe=None, problem=problem)
