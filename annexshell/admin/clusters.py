"""Making a cluster, and what its nodes are to be; pure (spec 01 §8.1, §11.1)."""

from __future__ import annotations

import os
import re
import uuid as uuids
from collections.abc import Collection, Iterable, Iterator, Sequence

import attrs

from annexshell.admin.changes import Changes, ClusterChange, Listed, Setting, Snapshot
from annexshell.admin.errors import (
    BadClusterName,
    NoCluster,
    NoSuchRemote,
    NotACluster,
    OtherCluster,
    UnknownCluster,
)
from annexshell.admin.proxying import update_proxy
from annexshell.admin.remotes import (
    NODE,
    Candidate,
    behind_gateways,
    candidates,
    usable,
)
from annexshell.errors import AnnexshellError
from annexshell.model.ids import UUID, is_cluster_uuid
from annexshell.proxy.instantiated import Remote
from annexshell.proxy.routes import clusters_of_node, own_clusters
from annexshell.repository.config import GitConfig

_GOOD_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)*")
_CLUSTER = "annex.cluster."


def new_cluster_uuid() -> UUID:
    """A uuid that only a cluster has: random, but for the marks."""
    text = str(uuids.uuid4())
    return UUID(f"ac{text[2:14]}8{text[15:]}".encode())


def check_name(name: str) -> None:
    """Raise BadClusterName unless git keeps the name as it is, and remotes can have it."""
    if not _GOOD_NAME.fullmatch(name):
        raise BadClusterName(name=name)


def init_cluster(
    known: Snapshot, name: str, description: str | None, uuid: UUID
) -> Changes:
    """Make this repository the first gateway of a new cluster with that ``uuid``.

    Nothing changes if it has a cluster of that name, save that a description is added
    where a crash left it without one. Raises BadClusterName.
    """
    existing = own_clusters(known.config).get(name.lower())
    text = f"cluster {name}" if description is None else description
    if existing is None:
        check_name(name)
        settings = (Setting(_CLUSTER + name, os.fsdecode(uuid)),)
        return Changes(settings, {uuid: os.fsencode(text)})
    if existing in known.descriptions:
        return Changes()
    return Changes(described={existing: os.fsencode(text)})


def update_clusters(known: Snapshot) -> Changes:
    """The nodes of all clusters of this gateway by its config, and then `update_proxy`."""
    found, own = candidates(known), own_clusters(known.config)
    changes = Changes(warnings=tuple(_unknown(known.config, own, found)))
    for name, cluster in sorted(own.items()):
        named = [c for c in found if cluster in _clusters_of(known.config, c.remote)]
        remotes, warnings = usable(named, NODE)
        change = _update(known, ClusterChange(name, cluster), remotes, found)
        changes += Changes(clusters=(change,), warnings=warnings)
    nodes = {change.uuid: change.nodes for change in changes.clusters}
    return changes + update_proxy(known, nodes)


def extend_cluster(known: Snapshot, gateway: str, name: str, path: str) -> Changes:
    """Make this repository one more gateway of a cluster that the remote ``gateway`` offers.

    ``path`` is the repository's, to be told. Raises NoSuchRemote, NotACluster, OtherCluster
    and BadClusterName.
    """
    full = f"{gateway}-{name}"
    remotes = {r.name: r for r in behind_gateways(known) if r.via == gateway}
    remote = remotes.get(full) or remotes.get(f"{gateway}-{name.lower()}")
    if remote is None:
        raise NoSuchRemote(name=full, gateway=gateway, path=path)
    if not is_cluster_uuid(remote.uuid):
        raise NotACluster(name=full, gateway=gateway, path=path)
    return Changes(tuple(_joining(known.config, remote, name.lower(), path)))


def _joining(
    config: GitConfig, cluster: Remote, name: str, path: str
) -> Iterator[Setting]:
    uuid = os.fsdecode(cluster.uuid)
    own = own_clusters(config).get(name)
    if own is None:
        check_name(name)
        yield Setting(_CLUSTER + name, uuid)
    elif own != cluster.uuid:
        raise OtherCluster(name=name, uuid=own, other=uuid, path=path)
    # Several clusters may share their gateways; git-annex would forget all but the last.
    setting = f"remote.{cluster.via}.annex-cluster-gateway"
    offered = (config.get(setting) or "").split()
    if uuid not in offered:
        yield Setting(setting, " ".join([*offered, uuid]))


def _update(
    known: Snapshot,
    change: ClusterChange,
    remotes: Sequence[Remote],
    found: Sequence[Candidate],
) -> ClusterChange:
    """A node that another gateway reaches is that gateway's affair: it stays."""
    living = known.living(change.uuid)
    elsewhere = {c.remote.uuid for c in found if c.remote.proxied_by}
    nodes = {r.uuid for r in remotes} | (living & elsewhere)
    nodes -= known.private
    # git-annex adds a dead node anew each time, since readers leave it out.
    added = nodes - known.recorded.get(change.uuid, frozenset())
    names = {r.uuid: os.fsencode(r.name) for r in reversed(remotes)}
    listed = [Listed(uuid, names[uuid], True) for uuid in added]
    listed += [
        Listed(uuid, _described(known, uuid, found), False) for uuid in living - nodes
    ]
    listed.sort(key=lambda one: one.uuid)
    return attrs.evolve(change, nodes=frozenset(nodes), listed=tuple(listed))


def _described(known: Snapshot, uuid: UUID, found: Iterable[Candidate]) -> bytes:
    """The description with the remote's name in brackets, as git-annex puts it."""
    text = known.descriptions.get(uuid)
    names = [os.fsencode(c.remote.name) for c in found if c.remote.uuid == uuid]
    if not names:
        return text or uuid
    if text is None:
        return names[-1]
    return (
        b"[%b]" % names[-1]
        if text in (b"", names[-1])
        else b"%b [%b]" % (text, names[-1])
    )


def _unknown(
    config: GitConfig, own: Collection[str], found: Iterable[Candidate]
) -> Iterator[AnnexshellError]:
    """Warnings of what cannot have been meant."""
    if not own:
        yield NoCluster()
    for name in [c.remote.name for c in found if not c.remote.proxied_by]:
        for word in (config.remote(name, "cluster-node") or "").split():
            if word.lower() not in own:
                yield UnknownCluster(name=name, cluster=word)


def _clusters_of(config: GitConfig, remote: Remote) -> frozenset[UUID]:
    if is_cluster_uuid(remote.uuid):
        return frozenset()  # one level only: a cluster is never a node
    return clusters_of_node(config, remote.setting(config, "cluster-node") or "")
