"""A real client, with and without ``annexshell.zerocopy`` at the gateway and at its nodes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.gateway import Gateway
from tests.support.sshserver import SshServer
from tests.support.world import World

#: More than any pipe holds, and no whole number of pages.
SIZE = (3 << 20) + 4321


@dataclass(frozen=True)
class Estate:
    """A gateway with a node by path and one by ssh, which are a cluster; and a client."""

    gateway: Gateway
    me: Repo

    def stored(self, key: str) -> dict[str, bytes]:
        """The content of a key in each node that holds it, as the disks say."""
        nodes = self.gateway.nodes
        return {
            name: nodes[name].object(key).read_bytes()
            for name in self.gateway.holders(key)
        }


@pytest.fixture(scope="module", params=["true", "false"])
def estate(
    request: pytest.FixtureRequest,
    world: World,
    current: Client,
    openssh: SshServer,
    places: Callable[[], Path],
) -> Iterator[Estate]:
    place = places()
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    gateway.add_path_node("path")
    gateway.add_ssh_node("ssh", openssh, "ours")
    gateway.add_ssh_node("other", openssh, "ours")
    for repo in (gateway.repo, *gateway.nodes.values()):
        repo.git("config", "annexshell.zerocopy", request.param)
    gateway.publish_cluster()
    me = gateway.repo.clone(openssh.url("ours", gateway.repo.path), place / "me")
    yield Estate(gateway, me)
    gateway.fsck(given_up="-s")


@pytest.mark.parametrize(
    ("remote", "holders"),
    [("path", {"path"}), ("ssh", {"ssh"}), ("cluster", {"path", "ssh", "other"})],
    ids=["path", "ssh", "cluster"],
)
def test_content_goes_there_and_comes_back(
    estate: Estate, remote: str, holders: set[str]
) -> None:
    gateway, me = estate.gateway, estate.me
    content = random.Random(remote).randbytes(SIZE)
    key = me.add(remote, content)
    me.annex("copy", f"--to=origin-{remote}", remote)
    assert estate.stored(key) == dict.fromkeys(holders, content)
    assert gateway.logged(key) == holders
    me.annex("drop", remote)
    assert not me.has(key)
    me.annex("get", f"--from=origin-{remote}", remote)
    assert (me.path / remote).read_bytes() == content
    me.annex("drop", f"--from=origin-{remote}", remote)
    assert estate.stored(key) == {}
    assert gateway.logged(key) == set()
