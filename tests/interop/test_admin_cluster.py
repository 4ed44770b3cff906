"""What annexshell-admin does to a cluster is what git-annex itself would have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Repo
from tests.support.gateway import Gateway
from tests.support.process import Result, run
from tests.support.sshserver import SshServer

_UNCHANGED = ("No cluster node changes for cluster: ", "No proxy changes to record.")


@pytest.fixture
def cluster(gateway: Gateway) -> Gateway:
    """The gateway of a cluster ``foo`` with two nodes by path."""
    for name in ("n1", "n2"):
        gateway.add_path_node(name)
        gateway.repo.git("config", "--unset", f"remote.{name}.annex-proxy")
        gateway.repo.git("config", f"remote.{name}.annex-cluster-node", "foo")
        gateway.repo.git("fetch", "--quiet", name)
    gateway.repo.annex("merge")
    gateway.repo.annex("initcluster", "foo")
    gateway.repo.annex("updatecluster")
    return gateway


def admin(gateway: Gateway, *words: str | Path, check: bool = True) -> Result:
    repo = gateway.repo
    argv = ["annexshell-admin", "cluster", *words]
    return run(argv, cwd=repo.path, env=repo.env, check=check)


def status(gateway: Gateway, code: int = 0) -> dict[str, Any]:
    """The nodes of the one cluster, by name."""
    done = admin(gateway, "status", "--json", check=False)
    assert done.code == code, done
    [found] = json.loads(done.out)["clusters"]
    return {node["name"]: node for node in found["nodes"]}


def assert_unchanged(gateway: Gateway, name: str) -> None:
    """git-annex finds nothing to do, and the gateway's repository is sound."""
    said = gateway.repo.annex("updatecluster").out
    for sentence in (_UNCHANGED[0] + name, _UNCHANGED[1]):
        assert sentence in said, said
    gateway.repo.git("fsck", "--strict", "--no-dangling")


def client_of(gateway: Gateway, url: str, place: Path) -> Repo:
    client = gateway.repo.clone(url, place / "c")
    for name, node in gateway.nodes.items():
        client.git("remote", "add", name, node.path)
    return client


def share(client: Repo) -> None:
    """Have the gateway know what the client knows."""
    client.git("fetch", "--quiet", "origin")
    client.annex("merge")
    client.git("push", "--quiet", "origin", "git-annex")


def test_a_renamed_cluster_is_the_same_cluster(
    cluster: Gateway, openssh: SshServer, place: Path
) -> None:
    uuid = cluster.repo.git("config", "annex.cluster.foo").out.strip()
    admin(cluster, "rename", "foo", "new")
    assert_unchanged(cluster, "new")
    assert cluster.repo.git("config", "--get", "annex.cluster.foo", check=False).code
    assert cluster.repo.git("config", "annex.cluster.new").out.strip() == uuid
    client = client_of(cluster, openssh.url("ours", cluster.repo.path), place)
    told = json.loads(client.annex("info", "--fast", "--json", "origin-new").out)
    assert told["uuid"] == uuid and told["cluster"] == "true"
    assert told["description"].startswith("cluster new")
    assert client.annex("info", "--fast", "origin-foo", check=False).code != 0


def test_a_node_leaves_when_nothing_is_missed(cluster: Gateway, place: Path) -> None:
    client = client_of(cluster, str(cluster.repo.path), place)
    key = client.add("precious", b"precious")
    client.annex("move", "precious", "--to", "n1")
    share(client)
    refused = admin(cluster, "remove-node", "foo", "n1", check=False)
    assert refused.code == 1 and key in refused.err, refused
    assert_unchanged(cluster, "foo")

    client.annex("copy", "precious", "--from", "n1", "--to", "n2")
    share(client)
    admin(cluster, "remove-node", "foo", "n1")
    assert_unchanged(cluster, "foo")
    assert list(status(cluster)) == ["n2"]
    # Nothing is forgotten of it, and nothing is gone.
    first, second = (cluster.nodes[name] for name in ("n1", "n2"))
    assert cluster.repo.whereis(key) >= {first.uuid, second.uuid}
    assert first.has(key) and second.has(key)
    log = cluster.repo.git("show", "git-annex:proxy.log").out.splitlines()
    assert f"{first.uuid}:n1" not in max(log)


def test_force_takes_a_last_copy_out_of_sight_but_not_away(
    cluster: Gateway, place: Path
) -> None:
    client = client_of(cluster, str(cluster.repo.path), place)
    key = client.add("precious", b"precious")
    client.annex("move", "precious", "--to", "n1")
    share(client)
    admin(cluster, "remove-node", "foo", "n1", "--force")
    assert_unchanged(cluster, "foo")
    assert cluster.repo.whereis(key) == {cluster.nodes["n1"].uuid}
    client.annex("get", "precious", "--from", "n1")


def test_status_asks_each_node_in_its_way(
    cluster: Gateway, openssh: SshServer, place: Path
) -> None:
    for name, account in (("over", "ours"), ("reference", "reference")):
        node = cluster.add_ssh_node(name, openssh, account)
        cluster.repo.git("config", f"remote.{name}.annex-cluster-node", "foo")
        before = node.git("for-each-ref").out
    client = client_of(cluster, str(cluster.repo.path), place)
    client.add("a", b"a")
    client.annex("copy", "a", "--to", "n1")
    share(client)

    found = status(cluster)
    assert [found[n]["standing"] for n in ("n1", "over")] == ["node", "not-recorded"]
    assert [found[n]["keys"] for n in ("n1", "n2")] == [1, 0]
    assert {n: v["how"] for n, v in found.items()} == {
        **{"n1": "path", "n2": "path"},
        **{"over": "ssh", "reference": "ssh"},
    }
    assert all(v["reachable"] and v["version"] == 4 for v in found.values())
    assert cluster.nodes["reference"].git("for-each-ref").out == before
    cluster.repo.annex("updatecluster")
    assert status(cluster)["over"]["standing"] == "node"

    cluster.repo.git("config", "remote.over.url", openssh.url("ours", place / "none"))
    gone = status(cluster, code=1)["over"]
    assert gone["reachable"] is False
    assert gone["error"].startswith("cannot connect to over: ")


def test_a_cluster_through_another_gateway(
    cluster: Gateway, openssh: SshServer, place: Path
) -> None:
    far = Gateway.create(
        cluster.repo.world, cluster.repo.client, place / "far", bare=True
    )
    far.add_path_node("m1")
    far.repo.git("config", "remote.m1.annex-cluster-node", "shed")
    far.repo.annex("initcluster", "shed")
    far.publish()
    far.repo.annex("updatecluster")
    url = openssh.url("reference", far.repo.path)
    cluster.repo.git("remote", "add", "far", url)
    cluster.repo.git("config", "remote.far.annex-uuid", far.repo.uuid)
    cluster.repo.git("fetch", "--quiet", "far")
    cluster.repo.annex("merge")
    cluster.repo.git("config", "--unset", "annex.cluster.foo")
    cluster.repo.annex("extendcluster", "far", "shed")
    assert_unchanged(cluster, "shed")

    found = status(cluster)
    assert found["far-shed"]["standing"] == "gateway"
    assert found["far-shed"]["reachable"] and found["far-shed"]["version"] == 4
    assert found["far-m1"]["standing"] == "elsewhere"
    drawn = admin(cluster, "graph", "shed").out
    assert f'"{far.repo.uuid}" -> "{far.nodes["m1"].uuid}"' in drawn
    refused = admin(cluster, "remove-node", "shed", "far-m1", check=False)
    assert refused.code == 1 and "behind another gateway" in refused.err
    admin(cluster, "rename", "shed", "garden")
    assert_unchanged(cluster, "garden")
    assert status(cluster)["far-shed"]["reachable"]
