"""git-annex's own test of a remote, against clusters and what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.gateway import CLUSTER, Gateway
from tests.support.process import Result
from tests.support.sshserver import SshServer
from tests.support.world import World

#: The remotes of the client below:
#:   ours-cluster        nodes by path, by ssh to both programs, and behind a second
#:                       gateway; both gateways are served by us
#:   ours-...            those nodes one by one
#:   mixed-cluster       the first gateway is served by us, the second by git-annex-shell
#:   reference-far-node  the first gateway is served by git-annex-shell, the second by us;
#:                       git-annex-shell's own cluster of several gateways does not pass
#:   other-cluster       a gateway served by git-annex-shell, with a node served by us
REMOTES = (
    *("ours-cluster", "ours-path", "ours-ssh", "ours-reference", "ours-far-node"),
    *("mixed-cluster", "reference-far-node", "other-cluster"),
)


@dataclass(frozen=True)
class Estate:
    """A client, and the gateways whose clusters it knows."""

    me: Repo
    gateways: tuple[Gateway, ...]


def _gateways(
    world: World, current: Client, server: SshServer, place: Path
) -> tuple[Gateway, Gateway, Gateway]:
    """``near`` reaches ``far`` as annexshell, ``mixed`` reaches it as git-annex-shell."""
    far = Gateway.create(world, current, place / "far", bare=True)
    far.add_path_node("node")
    far.add_ssh_node("ssh", server, "ours")
    near = Gateway.create(world, current, place / "near", bare=True)
    near.add_path_node("path")
    near.add_ssh_node("ssh", server, "ours")
    near.add_ssh_node("reference", server, "reference")
    mixed = Gateway.create(world, current, place / "mixed", bare=True)
    mixed.add_path_node("path")
    far.publish_cluster()
    near.extend_cluster("far", far, server, "ours")
    near.publish_cluster()
    mixed.extend_cluster("far", far, server, "reference")
    mixed.publish_cluster()
    return near, mixed, far


@pytest.fixture(scope="module")
def estate(
    world: World, current: Client, openssh: SshServer, places: Callable[[], Path]
) -> Iterator[Estate]:
    place = places()
    near, mixed, far = _gateways(world, current, openssh, place)
    me = near.repo.clone(openssh.url("ours", near.repo.path), place / "me")
    me.git("remote", "rename", "origin", "ours")
    me.git("remote", "add", "reference", openssh.url("reference", near.repo.path))
    me.git("remote", "add", "mixed", openssh.url("ours", mixed.repo.path))
    me.git("remote", "add", "other", openssh.url("reference", far.repo.path))
    for remote in ("ours", "reference", "mixed", "other"):
        me.git("fetch", "--quiet", remote)
    me.annex("merge")
    yield Estate(me, (near, mixed, far))
    for gateway in (near, mixed, far):
        gateway.fsck(given_up="this-is-a-test-key")


def passed(result: Result) -> None:
    """All tests passed, and none were left out."""
    assert result.code == 0, result
    counts = [
        int(line.split()[1])
        for line in result.out.splitlines()
        if line.startswith("All ") and "tests passed" in line
    ]
    assert sum(counts) >= 100, result


@pytest.mark.parametrize("remote", REMOTES)
def test_testremote_passes(estate: Estate, remote: str) -> None:
    passed(estate.me.annex("testremote", "--fast", remote, check=False))


def test_the_client_sees_the_cluster(estate: Estate) -> None:
    """What the gateways published makes remotes of the cluster and of its nodes."""
    told = estate.me.annex("info", "ours").out
    assert "ours-cluster" in told and "ours-far-node" in told, told
    assert "cluster: true" in estate.me.annex("info", f"ours-{CLUSTER}").out
