"""A gateway with clusters as its operator sees it, made with plain git."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from annexshell.admin.gateway import Gateway, open_gateway
from annexshell.logs.clusters import clusters
from annexshell.logs.location import location_path
from annexshell.logs.proxies import proxied_by
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from tests.support.repositories import C1, Repo, plain_repo

GATEWAY = UUID(b"99999999-9999-4999-8999-999999999999")
C2 = UUID(b"acbbdd76-2913-83e9-85c4-c7c039622a10")


def node_uuid(number: int) -> UUID:
    return UUID(b"%d0000000-1111-4111-8111-111111111111" % number)


N1, N2, N3 = (node_uuid(number) for number in (1, 2, 3))


@attrs.frozen
class Estate:
    """The gateway, and where its nodes are."""

    repo: Repo
    place: Path

    @classmethod
    def create(cls, place: Path) -> Estate:
        """A gateway of the cluster ``foo`` (C1), which has no nodes yet."""
        repo = plain_repo(place / "gw", uuid=GATEWAY)
        repo.git("config", "annex.cluster.foo", C1.decode())
        return cls(repo, place)

    def add_node(self, name: str, uuid: UUID, clusters: str = "foo") -> Repo:
        """A node by path, configured and not yet in any log."""
        node = plain_repo(self.place / name, uuid=uuid)
        node.annex_dir.mkdir()
        self.add_remote(name, str(node.path), uuid, cluster_node=clusters)
        return node

    def add_remote(self, name: str, url: str, uuid: UUID, **settings: str) -> None:
        self.repo.git("config", f"remote.{name}.url", url)
        self.repo.git("config", f"remote.{name}.annex-uuid", uuid.decode())
        for setting, value in settings.items():
            key = f"remote.{name}.annex-{setting.replace('_', '-')}"
            self.repo.git("config", key, value)

    def record(self, logs: Mapping[bytes, bytes]) -> None:
        """Put these files on the gateway's git-annex branch."""
        self.repo.commit(logs)

    def open(self) -> Gateway:
        return open_gateway(os.fspath(self.repo.path), b"5000s")

    def logs(self) -> dict[str, object]:
        """What the logs about clusters mean; lines that lost stay after a commit."""
        branch = self.open().branch
        return {
            "proxies": proxied_by(branch.read(b"proxy.log")),
            "clusters": clusters(branch.read(b"cluster.log")),
            "descriptions": branch.descriptions(),
        }

    def setting(self, name: str) -> str | None:
        return self.open().config.get(name)


def usual(place: Path) -> Estate:
    """Two nodes of ``foo``, configured, recorded and published."""
    estate = Estate.create(place)
    estate.add_node("n1", N1)
    estate.add_node("n2", N2)
    estate.record(
        {
            b"cluster.log": b"1000s %b %b %b\n" % (C1, N1, N2),
            b"proxy.log": b"1000s %b %b:n1 %b:n2 %b:foo\n" % (GATEWAY, N1, N2, C1),
            b"uuid.log": b"%b cluster foo timestamp=1000s\n" % C1
            + b"%b the first timestamp=1000s\n" % N1
            + b"%b the second timestamp=1000s\n" % N2,
        }
    )
    return estate


def locations(holders: Mapping[bytes, tuple[UUID, ...]]) -> dict[bytes, bytes]:
    """Location logs by path: of keys with these names, held by these."""
    return {
        location_path(Key(b"WORM", name, size=1)): b"".join(
            b"1000s 1 %b\n" % uuid for uuid in uuids
        )
        for name, uuids in holders.items()
    }
