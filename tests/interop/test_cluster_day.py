"""A client's day with a cluster, and with nodes of it one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.gateway import Gateway, no_cluster_is_recorded
from tests.support.process import Result
from tests.support.session import on_pipes
from tests.support.sshserver import SshServer
from tests.support.world import World


@dataclass(frozen=True)
class Estate:
    """A gateway with three nodes and, behind another gateway, a fourth; and a client."""

    gateway: Gateway
    far: Gateway
    me: Repo
    cluster: str
    names: dict[str, str]
    """The nodes' names by their uuids."""

    def holders(self, key: str) -> set[str]:
        """The nodes that hold a key, as the disks and the gateway's log say alike."""
        on_disk = self.gateway.holders(key) | self.far.holders(key)
        assert self._recorded(self.gateway.repo, key) == on_disk
        return on_disk

    def seen(self, key: str) -> set[str]:
        """What the client has learnt by itself."""
        return self._recorded(self.me, key)

    def _recorded(self, repo: Repo, key: str) -> set[str]:
        """All that is recorded but the clones and the cluster, which is no place."""
        whole = {self.cluster, self.me.uuid, self.gateway.repo.uuid}
        return {self.names.get(uuid, uuid) for uuid in repo.whereis(key) - whole}


#: The names of all nodes.
ALL = {"path", "ssh", "reference", "far"}


@pytest.fixture(scope="module")
def estate(
    world: World, current: Client, openssh: SshServer, places: Callable[[], Path]
) -> Iterator[Estate]:
    place = places()
    far = Gateway.create(world, current, place / "fgw", bare=True)
    far.add_path_node("far")
    far.publish_cluster()
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    gateway.add_path_node("path")
    gateway.add_ssh_node("ssh", openssh, "ours")
    gateway.add_ssh_node("reference", openssh, "reference")
    gateway.extend_cluster("fgw", far, openssh, "ours")
    gateway.publish_cluster()
    me = gateway.repo.clone(openssh.url("ours", gateway.repo.path), place / "me")
    nodes = {**gateway.nodes, **far.nodes}
    names = {node.uuid: name for name, node in nodes.items()}
    yield Estate(gateway, far, me, gateway.cluster(), names)
    me.annex("sync", "--no-content", "origin")
    no_cluster_is_recorded(me)
    me.fsck()
    gateway.fsck(given_up="-s")
    far.fsck(given_up="-s")  # it is not told what clients keep


def content(name: str) -> bytes:
    return f"what is in {name}\n".encode() * 1000


def add(estate: Estate, *names: str) -> list[str]:
    """Add files in one commit; their keys."""
    for name in names:
        path = estate.me.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content(name))
    estate.me.annex("add", "--quiet", *names)
    estate.me.git("commit", "--quiet", "-m", "add")
    return [estate.me.key(name) for name in names]


def refused(result: Result) -> None:
    assert result.code != 0, result


def test_copy_with_four_jobs_and_whereis(estate: Estate) -> None:
    names = [f"many/{number}" for number in range(8)]
    keys = add(estate, *names)
    estate.me.annex("copy", "-J4", "--to=origin-cluster", "many")
    for key in keys[:3]:
        assert estate.holders(key) == estate.seen(key) == ALL
        assert estate.cluster in estate.me.whereis(key)
    estate.me.annex("drop", "-J4", "-N3", "many")
    estate.me.annex("get", "-J4", "--from=origin-cluster", "many")
    for name in names:
        assert (estate.me.path / name).read_bytes() == content(name)


def test_numcopies_is_proven_by_locked_nodes(estate: Estate) -> None:
    (key,) = add(estate, "guarded")
    estate.me.annex("copy", "--to=origin-cluster", "guarded")
    refused(estate.me.annex("drop", "-N5", "guarded", check=False))
    assert estate.me.has(key)
    estate.me.annex("drop", "-N3", "guarded")
    assert not estate.me.has(key)
    # The last copies there are: those in the cluster prove nothing for themselves.
    refused(estate.me.annex("drop", "--from=origin-cluster", "guarded", check=False))
    assert estate.holders(key) == ALL


def test_get_and_drop_from_one_node(estate: Estate) -> None:
    (key,) = add(estate, "one")
    estate.me.annex("copy", "--to=origin-cluster", "one")
    estate.me.annex("drop", "-N3", "one")
    estate.me.annex("get", "--from=origin-ssh", "one")
    assert (estate.me.path / "one").read_bytes() == content("one")
    estate.me.annex("drop", "--from=origin-ssh", "-N3", "one")
    assert estate.holders(key) == estate.seen(key) == ALL - {"ssh"}
    estate.me.annex("move", "--to=origin-ssh", "one")
    for name in ("path", "fgw-far"):
        estate.me.annex("move", f"--from=origin-{name}", "one")
        node = {name.removeprefix("fgw-")}
        assert estate.holders(key) == estate.seen(key) == ALL - node
        estate.me.annex("move", f"--to=origin-{name}", "one")
    assert estate.holders(key) == estate.seen(key) == ALL


def test_drop_from_the_cluster(estate: Estate) -> None:
    """Proven by a copy in the gateway's own repository, which is locked meanwhile."""
    (key,) = add(estate, "dropped")
    estate.me.annex("copy", "--to=origin", "dropped")
    estate.me.annex("copy", "--to=origin-cluster", "dropped")
    estate.me.annex("drop", "-N3", "dropped")
    drop = ("drop", "--from=origin-cluster", "dropped")
    refused(estate.me.annex(*drop, "-N2", check=False))
    assert estate.holders(key) == ALL
    estate.me.annex(*drop)
    assert estate.holders(key) == estate.seen(key) == set()
    assert estate.gateway.repo.has(key)


def test_move_there_and_back(estate: Estate) -> None:
    (key,) = add(estate, "moved")
    estate.me.annex("move", "--to=origin-cluster", "moved")
    assert not estate.me.has(key)
    assert estate.holders(key) == estate.seen(key) == ALL
    estate.me.annex("move", "--from=origin-cluster", "moved")
    assert (estate.me.path / "moved").read_bytes() == content("moved")
    assert estate.holders(key) == estate.seen(key) == set()


def test_a_second_upload_fills_the_gap(
    estate: Estate, world: World, program: str
) -> None:
    (key,) = add(estate, "partly")
    for name in ("path", "fgw-far"):
        estate.me.annex("copy", f"--to=origin-{name}", "partly")
    assert estate.holders(key) == {"path", "far"}
    with on_pipes(world, program, estate.gateway.repo, estate.cluster) as session:
        session.greet()
        answer = session.put(key.encode(), content("partly"))
        assert answer.startswith(b"SUCCESS-PLUS "), session.stderr
        session.end()
    assert estate.holders(key) == ALL


def test_fsck_from(estate: Estate) -> None:
    """Bad content is found in the node that has it, and replaced from here."""
    (key,) = add(estate, "checked")
    estate.me.annex("copy", "--to=origin-cluster", "checked")
    estate.me.annex("fsck", "--from=origin-cluster", "checked")
    node = estate.gateway.nodes["ssh"]
    spoilt = node.object(key)
    spoilt.chmod(0o644)
    spoilt.write_bytes(b"X" * len(content("checked")))
    estate.me.annex("fsck", "--from=origin-path", "checked")
    found = estate.me.annex("fsck", "--from=origin-ssh", "checked", check=False)
    assert found.code != 0 and "Verification of content failed" in found.all, found
    node.annex("fsck", "--all", check=False)  # moves it to annex/bad
    estate.me.annex("copy", "--to=origin-ssh", "checked")
    assert estate.holders(key) == ALL


def test_sync_content(estate: Estate, openssh: SshServer, place: Path) -> None:
    """One transfer to the cluster, none to its nodes; and back to another client."""
    (key,) = add(estate, "synced")
    told = estate.me.annex("sync", "--content", "origin", "origin-cluster").out
    assert estate.holders(key) == estate.seen(key) == ALL
    assert "to origin-cluster" in told and "to origin-ssh" not in told, told
    url = openssh.url("ours", estate.gateway.repo.path)
    other = estate.gateway.repo.clone(url, place / "other")
    other.annex("get", "--from=origin-cluster", "synced")
    assert (other.path / "synced").read_bytes() == content("synced")
    assert set(estate.names) <= other.whereis(key)
