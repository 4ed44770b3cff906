"""A gateway with nodes on its own machine, made with plain git."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.repositories import Repo
from tests.support.shell import UUID_HERE, git, make_annex

CLUSTER = "acf788bc-41dd-8c24-b6ef-c199bfe447e6"
N1 = "11111111-1111-4111-8111-111111111111"
N2 = "22222222-2222-4222-8222-222222222222"


def make_gateway(home: Path, nodes: Mapping[str, str], **settings: str) -> Path:
    """``home/gw``, which proxies to each of ``nodes`` (uuids by name) and to all of them
    as the cluster ``CLUSTER``. Who has the gateway's own uuid is the gateway."""
    gateway = make_annex(home / "gw")
    published = (f"{uuid}:{name}" for name, uuid in nodes.items() if uuid != UUID_HERE)
    files = {
        b"proxy.log": " ".join(
            ("1s", UUID_HERE, f"{CLUSTER}:mine", *published)
        ).encode(),
        b"cluster.log": " ".join(("1s", CLUSTER, *sorted(nodes.values()))).encode(),
    }
    parts = {name: content + b"\n" for name, content in files.items()}
    Repo(gateway, True, home).commit(parts, parents=())
    chosen = {"annex.cluster.mine": CLUSTER, **settings}
    for name, uuid in nodes.items():
        here = uuid == UUID_HERE
        path = gateway if here else make_annex(home / name, uuid=uuid)
        (path / "annex").mkdir()
        chosen |= {
            f"remote.{name}.url": str(path),
            f"remote.{name}.annex-uuid": uuid,
            f"remote.{name}.annex-cluster-node": "mine",
        }
        if not here:
            chosen[f"remote.{name}.annex-proxy"] = "true"
    for setting, value in chosen.items():
        git("-C", gateway, "config", setting, value)
    return gateway
