"""Changes to a gateway's lines of proxy.log and cluster.log, and what a config loses."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from annexshell.admin.errors import ConfigNotWritten
from annexshell.admin.gateway import Gateway
from annexshell.logs.clusters import clusters, with_nodes
from annexshell.logs.mapped import with_description
from annexshell.logs.proxies import Proxied, proxied_by, with_proxied
from annexshell.model.ids import UUID, is_safe_uuid
from annexshell.repository.gitprocess import GitFailed, git_output


def unset_config(gateway: Gateway, name: str) -> None:
    """Take all values of a setting away, which must have one. Raises ConfigNotWritten."""
    try:
        git_output(gateway.repository.git_dir, "config", "--unset-all", name)
    except GitFailed as error:
        # git says nothing of a setting that its file has not got.
        detail = str(error) or "it is not set in the repository's own config file"
        raise ConfigNotWritten(name=name, detail=detail) from error


def change_proxied(
    gateway: Gateway, change: Callable[[tuple[Proxied, ...]], Iterable[Proxied]]
) -> bool:
    """Edit the gateway's line of proxy.log, if it has one; whether that changed it.

    What is no uuid, and so nobody's, goes. Raises JournalFailed, BranchUnreadable and
    LockTimeout.
    """

    def edit(old: bytes) -> bytes | None:
        entries = proxied_by(old).get(gateway.uuid)
        if entries is None:
            return None
        kept = [e for e in change(entries) if is_safe_uuid(e.uuid)]
        return with_proxied(old, gateway.uuid, kept, gateway.now)

    return gateway.branch.change(b"proxy.log", gateway.uuid, edit)


def change_nodes(
    gateway: Gateway, cluster: UUID, change: Callable[[frozenset[UUID]], Iterable[UUID]]
) -> bool:
    """Edit the cluster's line of cluster.log, as `change_proxied` does."""

    def edit(old: bytes) -> bytes | None:
        nodes = clusters(old).get(cluster)
        if nodes is None:
            return None
        kept = frozenset(filter(is_safe_uuid, change(nodes)))
        return with_nodes(old, cluster, kept, gateway.now)

    return gateway.branch.change(b"cluster.log", cluster, edit)


def change_description(gateway: Gateway, uuid: UUID, text: bytes) -> bool:
    """Give a repository a new description, as `change_proxied` does."""

    def edit(old: bytes) -> bytes | None:
        return with_description(old, uuid, text, gateway.now)

    return gateway.branch.change(b"uuid.log", uuid, edit)
