"""A gateway: a repository that proxies to nodes, set up with the real git-annex.

Clusters are set up with git-annex's own commands as well, so that what is tested reads what
git-annex writes.
"""

from __future__ import annotations

import contextlib
import glob
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.client import Client, Repo
from tests.support.process import descendants
from tests.support.sshserver import SshServer
from tests.support.world import World

#: The name of the cluster where one is enough.
CLUSTER = "cluster"


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

    def add_itself(self, name: str, server: SshServer, account: str) -> None:
        """The gateway's own repository as one of its nodes, which it reaches over ssh."""
        self._add_remote(name, server.url(account, self.repo.path), self.repo)

    def _new_node(self, name: str) -> Repo:
        path = self.repo.path.parent / f"{self.repo.path.name}-{name}"
        return Repo.create(self.repo.world, self.repo.client, path, bare=True)

    def _add_remote(self, name: str, url: str, node: Repo) -> None:
        self.repo.git("remote", "add", name, url)
        self.repo.git("config", f"remote.{name}.annex-uuid", node.uuid)
        self.repo.git("config", f"remote.{name}.annex-proxy", "true")
        self.nodes[name] = node

    def _merge_nodes(self) -> None:
        for name in self.nodes:
            self.repo.git("fetch", "--quiet", name)
        self.repo.annex("merge")

    def publish(self) -> None:
        """Merge the nodes' git-annex branches and put the proxied remotes on the branch."""
        self._merge_nodes()
        self.repo.annex("updateproxy")

    # -- clusters ----------------------------------------------------------------------

    def publish_cluster(self, *names: str, cluster: str = CLUSTER) -> None:
        """Make the nodes of those names (all, if none is given) a cluster; publish it."""
        self._merge_nodes()
        self.repo.annex("initcluster", cluster)
        for name in names or self.nodes:
            self.repo.git("config", f"remote.{name}.annex-cluster-node", cluster)
        self.repo.annex("updatecluster")

    def extend_cluster(
        self,
        name: str,
        other: Gateway,
        server: SshServer,
        account: str,
        cluster: str = CLUSTER,
    ) -> None:
        """Reach another gateway of the cluster over ssh, and through it its nodes.

        Its remote here gets ``name``. What this gateway published before stays.
        """
        remotes = self.repo.git("remote").out.split()
        if name not in remotes:
            url = server.url(account, other.repo.path)
            self.repo.git("remote", "add", name, url)
            self.repo.git("config", f"remote.{name}.annex-uuid", other.repo.uuid)
        self.repo.git("fetch", "--quiet", name)
        self.repo.annex("merge")
        self.repo.annex("extendcluster", name, cluster)

    def refresh_cluster(self) -> None:
        """Learn what nodes and other gateways published since, and add it."""
        self.repo.git("fetch", "--quiet", "--all")
        self.repo.annex("merge")
        self.repo.annex("updatecluster")

    def cluster(self, name: str = CLUSTER) -> str:
        """The uuid of a cluster of this gateway."""
        return self.repo.git("config", f"annex.cluster.{name}").out.strip()

    def holders(self, key: str) -> set[str]:
        """The names of the nodes in which the content of a key lies, seen on the disk."""
        return {
            name
            for name, node in self.nodes.items()
            if any(node.path.glob(f"annex/objects/*/*/{glob.escape(key)}/*"))
        }

    def logged(self, key: str) -> set[str]:
        """The names of the nodes that are recorded here to hold a key.

        Another repository stands there by its uuid; the cluster itself is left out, which
        git-annex adds when it reads (see ``no_cluster_is_recorded``).
        """
        names = {node.uuid: name for name, node in self.nodes.items()}
        uuids = self.repo.whereis(key) - {self.cluster()}
        return {names.get(uuid, uuid) for uuid in uuids}

    def fsck(self, given_up: str = "") -> None:
        """The gateway and all its nodes are sound (see ``Repo.fsck``)."""
        self.repo.fsck(given_up)
        no_cluster_is_recorded(self.repo)
        for node in self.nodes.values():
            if node is self.repo:
                continue
            # A node by itself does not know where else its former content is.
            branch = "+git-annex:refs/remotes/gateway/git-annex"
            node.git("fetch", "--quiet", self.repo.path, branch)
            node.annex("merge")
            node.fsck(given_up)


def no_cluster_is_recorded(repo: Repo) -> None:
    """No location log on the git-annex branch names a cluster (spec 01 §8.1)."""
    log = repo.git("show", "git-annex:cluster.log", check=False).out
    for line in log.splitlines():
        named = ("grep", "-l", line.split()[1], "git-annex", "--", "*--*.log")
        assert repo.git(*named, check=False).out == ""


def kill_sessions(server: SshServer, repo: Repo) -> int:
    """End all sessions with a repository behind a server as a crash would; how many."""
    killed = 0
    asked = os.fsencode(f"'{repo.path}'")
    for pid in descendants(server.process.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # just ended
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"p2pstdio" in words and asked in words:
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed
