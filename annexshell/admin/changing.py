"""Changes to a gateway's git config, and to its lines of proxy.log and cluster.log."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from annexshell.admin.errors import ConfigNotWritten
from annexshell.admin.gateway import Gateway
from annexshell.logs import clusters, mapped, proxies
from annexshell.logs.mapped import Entry, Form
from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID
from annexshell.repository.gitprocess import GitFailed, git_output


def set_config(gateway: Gateway, name: str, value: str) -> None:
    """Give a setting one value. Raises ConfigNotWritten."""
    _config(gateway, name, "--replace-all", name, value)


def unset_config(gateway: Gateway, name: str) -> None:
    """Take all values of a setting away, which must have one. Raises ConfigNotWritten."""
    _config(gateway, name, "--unset-all", name)


def _config(gateway: Gateway, name: str, *words: str) -> None:
    try:
        git_output(gateway.repository.git_dir, "config", *words)
    except GitFailed as error:
        # git says nothing of a setting that its file has not got.
        detail = str(error) or "it is not set in the repository's own config file"
        raise ConfigNotWritten(name=name, detail=detail) from error


def change_proxied(
    gateway: Gateway, change: Callable[[tuple[Proxied, ...]], Iterable[Proxied]]
) -> bool:
    """Edit the gateway's line of proxy.log, if it has one; whether that changed it.

    Raises JournalFailed, BranchUnreadable and LockTimeout.
    """

    def edit(old: bytes) -> bytes | None:
        entries = proxies.proxied_by(old).get(gateway.uuid)
        if entries is None:
            return None
        value = b" ".join(b"%b:%b" % entry for entry in sorted(change(entries)))
        return _edited(gateway, old, gateway.uuid, value, _names_proxied)

    return gateway.branch.change(b"proxy.log", gateway.uuid, edit)


def change_nodes(
    gateway: Gateway, cluster: UUID, change: Callable[[frozenset[UUID]], Iterable[UUID]]
) -> bool:
    """Edit the cluster's line of cluster.log, as `change_proxied` does."""

    def edit(old: bytes) -> bytes | None:
        nodes = clusters.clusters(old).get(cluster)
        if nodes is None:
            return None
        value = b" ".join(sorted(change(nodes)))
        return _edited(gateway, old, cluster, value, _names_nodes)

    return gateway.branch.change(b"cluster.log", cluster, edit)


def change_description(gateway: Gateway, uuid: UUID, text: bytes) -> bool:
    """Give a repository a new description, as `change_proxied` does."""

    def edit(old: bytes) -> bytes | None:
        return mapped.with_description(old, uuid, text, gateway.now)

    return gateway.branch.change(b"uuid.log", uuid, edit)


def _edited(
    gateway: Gateway, old: bytes, field: UUID, value: bytes, valid: mapped.Check
) -> bytes | None:
    return mapped.with_value(old, Form.NEW, field, value, gateway.now, valid)


def _names_proxied(entry: Entry) -> bool:
    """Whether the line counts; an older one that does must not go with one that does not."""
    return bool(proxies.proxied_by(Form.NEW.line(entry)))


def _names_nodes(entry: Entry) -> bool:
    return bool(clusters.clusters(Form.NEW.line(entry)))
