"""Whom git-annex asks for a cluster, and whom we would ask (spec 01 §8.2)."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from annexshell.model.ids import UUID
from annexshell.proxy.costs import prices
from annexshell.proxy.members import Cluster
from annexshell.repository.branch import Branch
from annexshell.serve.proxied import published_by
from tests.support.repositories import Repo, annex_repo

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-annex-shell") is None, reason="git-annex is not in PATH"
    ),
]

NODES = ("n1", "n2", "n3")
REQUESTS = b"VERSION 4\nREMOVE SHA256-s5--%b\n" % (b"a" * 64)

#: In place of git-annex-shell, for the nodes: removes whatever there is, and is noted.
NODE = """#!/bin/sh
echo "$2" >> "$NOTES"
echo "AUTH-SUCCESS $(git -C "$2" config annex.uuid)"
while read -r word rest; do
    case $word in VERSION) echo "VERSION $rest";; REMOVE) echo SUCCESS;; esac
done
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A gateway that is, with two others, a node of its own cluster."""
    place = tmp_path_factory.mktemp("world")
    gateway = annex_repo(place / "gateway", bare=True)
    gateway.annex("initcluster", "mine")
    for name in (*NODES, "self"):
        node = gateway if name == "self" else annex_repo(place / name, bare=True)
        gateway.git("remote", "add", name, str(node.path))
        gateway.git("config", f"remote.{name}.annex-uuid", node.uuid.decode())
        if name != "self":
            gateway.git("fetch", "--quiet", name)
        if name != "n3":
            gateway.git("config", f"remote.{name}.annex-cluster-node", "mine")
    gateway.annex("merge")
    gateway.annex("updatecluster")
    return gateway


def asked_by_git_annex(repo: Repo, cluster: str, place: Path) -> set[str]:
    """The paths of the nodes that a session with the cluster asks."""
    place.mkdir()
    program = place / "git-annex-shell"
    program.write_text(NODE)
    program.chmod(0o755)
    notes = place / "notes"
    notes.touch()
    real = shutil.which("git-annex-shell")
    assert real is not None
    subprocess.run(
        [real, "p2pstdio", repo.path, "c", "--uuid", cluster],
        env=repo.environment
        | {"NOTES": str(notes), "PATH": f"{place}:{os.environ['PATH']}"},
        input=REQUESTS,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return set(notes.read_text().split())


def asked_by_us(repo: Repo, cluster: str) -> set[str]:
    opened = repo.open()
    config, uuid = opened.config, UUID(cluster.encode())
    known = Cluster(uuid, opened.uuid, config, published_by(Branch(opened)))
    found = known.members((), partial(prices, config))
    return {config.get(f"remote.{member.via}.url") or "" for member in found}


@pytest.mark.parametrize(
    "settings, count",
    [
        ({}, 3),
        ({"remote.n3.annex-cluster-node": "mine"}, 3),
        ({"remote.n1.annex-cluster-node": "other"}, 2),
        ({"remote.n1.annex-cluster-node": ""}, 2),
        ({"remote.n1.annex-cluster-node": "other mine"}, 3),
        ({"remote.n1.annex-ignore": "true", "remote.n2.annex-readonly": "true"}, 3),
        ({"remote.n1.annex-trustlevel": "dead"}, 2),
        ({"remote.self.annex-cost": "400"}, 3),
        (
            {"annex.cluster.other": "CLUSTER", "remote.n1.annex-cluster-node": "other"},
            3,
        ),
    ],
    ids=str,
)
def test_the_same_nodes(
    gateway: Repo, tmp_path: Path, settings: dict[str, str], count: int
) -> None:
    repo = Repo(tmp_path / "gateway", True, gateway.home)
    shutil.copytree(gateway.path, repo.path, symlinks=True)
    cluster = repo.git("config", "annex.cluster.mine").decode().strip()
    repo.git("config", "remote.self.url", str(repo.path))
    for name, value in settings.items():
        repo.git("config", name, value.replace("CLUSTER", cluster))
    theirs = asked_by_git_annex(repo, cluster, tmp_path / "bin")
    assert asked_by_us(repo, cluster) == theirs
    assert len(theirs) == count
