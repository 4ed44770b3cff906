"""Snapshots for tests of plans, spelled as git config and logs."""

from __future__ import annotations

from typing import Any

from annexshell.admin.changes import Changes, Snapshot
from annexshell.logs.proxies import Proxied
from annexshell.model.ids import UUID
from annexshell.repository.config import GitConfig

GATE = UUID(b"99999999-0000-4000-8000-000000000000")
OTHER = UUID(b"bbbbbbbb-0000-4000-8000-000000000000")
N1, N2, N3 = (UUID(b"%d1111111-1111-4111-8111-111111111111" % n) for n in (1, 2, 3))
POOL = UUID(b"acf788bc-41dd-8c24-b6ef-c199bfe447e6")
MORE = UUID(b"ac111111-1111-8111-8111-111111111111")


def known(*settings: str, **logs: Any) -> Snapshot:
    """``"remote.n1.annex-proxy=true"``, and what the logs say."""
    items: list[tuple[str, str]] = []
    for setting in settings:
        name, _, value = setting.partition("=")
        items.append((name, value))
    return Snapshot(gateway=GATE, config=GitConfig(items), **logs)


def node(name: str, uuid: UUID, *more: str) -> list[str]:
    """A git remote; ``more`` are its annex settings."""
    top = f"remote.{name}."
    extra = [f"{top}annex-{one}" for one in more]
    return [f"{top}url=/{name}", f"{top}annex-uuid={uuid.decode()}", *extra]


def behind(name: str = "B") -> list[str]:
    """Another gateway that is a remote over ssh."""
    return [
        f"remote.{name}.url=ssh://h/r",
        f"remote.{name}.annex-uuid={OTHER.decode()}",
    ]


def line(*pairs: tuple[UUID, str]) -> tuple[Proxied, ...]:
    return tuple(sorted(Proxied(uuid, name.encode()) for uuid, name in pairs))


def published(changes: Changes) -> list[str]:
    """The names that the gateway's line is to have, sorted by uuid."""
    assert changes.proxy is not None
    return [entry.name.decode() for entry in sorted(changes.proxy.entries)]


def listed(changes: Changes) -> list[str]:
    """``+name`` and ``-name`` of clusters' nodes, in their order."""
    return [
        ("+" if one.added else "-") + one.name.decode()
        for cluster in changes.clusters
        for one in cluster.listed
    ]


def warned(changes: Changes) -> list[str]:
    return [type(warning).__name__ for warning in changes.warnings]
