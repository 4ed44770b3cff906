"""A gateway: a repository that proxies to nodes, set up with the real git-annex."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.support.client import Client, Repo
from tests.support.sshserver import SshServer
from tests.support.world import World


@dataclass
class Gateway:
    """The gateway's repository, its nodes by remote name, and how to reach it."""

    repo: Repo
    nodes: dict[str, Repo] = field(default_factory=dict)

    @classmethod
    def create(
        cls, world: World, client: Client, path: Path, *, bare: bool = False
    ) -> Gateway:
        return cls(Repo.create(world, client, path, bare=bare))

    def add_path_node(self, name: str) -> Repo:
        """A node that is a path on the gateway's own machine."""
        node = self._new_node(name)
        self._add_remote(name, str(node.path), node)
        return node

    def add_ssh_node(self, name: str, server: SshServer, account: str) -> Repo:
        """A node that the gateway reaches over ssh, behind the given account."""
        node = self._new_node(name)
        self._add_remote(name, server.url(account, node.path), node)
        return node

    def _new_node(self, name: str) -> Repo:
        path = self.repo.path.parent / f"{self.repo.path.name}-{name}"
        return Repo.create(self.repo.world, self.repo.client, path, bare=True)

    def _add_remote(self, name: str, url: str, node: Repo) -> None:
        self.repo.git("remote", "add", name, url)
        self.repo.git("config", f"remote.{name}.annex-uuid", node.uuid)
        self.repo.git("config", f"remote.{name}.annex-proxy", "true")
        self.nodes[name] = node

    def publish(self) -> None:
        """Merge the nodes' git-annex branches and put the proxied remotes on the branch."""
        for name in self.nodes:
            self.repo.git("fetch", "--quiet", name)
        self.repo.annex("merge")
        self.repo.annex("updateproxy")

    def fsck(self, given_up: str = "") -> None:
        """The gateway and all its nodes are sound (see ``Repo.fsck``)."""
        self.repo.fsck(given_up)
        for node in self.nodes.values():
            # A node by itself does not know where else its former content is.
            branch = "+git-annex:refs/remotes/gateway/git-annex"
            node.git("fetch", "--quiet", self.repo.path, branch)
            node.annex("merge")
            node.fsck(given_up)
