"""Clusters of nodes by path: annexshell and git-annex-shell as their gateway."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tests.bench.measure import Cost, Once
from tests.bench.scene import SMALL, Row, Scene
from tests.support.client import Client
from tests.support.world import World

_CLUSTER = "bench"


class Cluster(Scene):
    """A gateway whose cluster has ``nodes`` nodes on its own machine."""

    def __init__(self, world: World, client: Client, size: int, nodes: int) -> None:
        super().__init__(world, client, world.place / f"cluster{nodes}", size)
        repo = self.gateway.repo
        repo.annex("initcluster", _CLUSTER)
        for number in range(nodes):
            name = f"n{number}"
            self.gateway.add_path_node(name)
            repo.git("config", f"remote.{name}.annex-cluster-node", _CLUSTER)
        self.gateway.publish()
        repo.annex("updatecluster")
        self.uuid = repo.git("config", f"annex.cluster.{_CLUSTER}").out.strip()

    def unsynced(self, once: Once) -> Once:
        """``once`` where nothing is synced to the disk, as git-annex has it."""

        def both(program: str) -> list[Cost]:
            self._sync("false")
            try:
                return once(program)
            finally:
                self._sync("true")

        return both

    def _sync(self, value: str) -> None:
        for repo in (self.gateway.repo, *self.gateway.nodes.values()):
            repo.git("config", "annexshell.fsync", value)

    def rows(self) -> Iterator[Row]:
        """The requests for large content."""
        put = self.put_fresh(self.uuid)
        yield ["PUT, no fsync"], self.unsynced(put)
        yield ["PUT"], put
        yield ["GET"], self.get_present(self.uuid)

    def small_rows(self) -> Iterator[Row]:
        """The first request of a session, and many for small content."""
        yield ["hello and one answer"], self.session(self.uuid, self.check_absent)
        put, remove = f"{SMALL} PUT of 1 KiB", f"{SMALL} REMOVE"
        works = [self.put_small, self.check_small, self.get_small, self.remove_small]
        names = [put, f"{SMALL} CHECKPRESENT", f"{SMALL} GET of 1 KiB", remove]
        yield names, self.laps(self.uuid, works)
        changing = self.laps(self.uuid, [self.put_small, self.remove_small])
        names = [f"{name}, no fsync" for name in (put, remove)]
        yield names, self.unsynced(changing)


def cluster_rows(
    world: World, client: Client, size: int, few: int, many: int
) -> Iterator[Row]:
    """The rows for a cluster of ``few`` nodes and for one of ``many``."""
    small, large = Cluster(world, client, size, few), Cluster(world, client, size, many)
    for names, once in chain(small.small_rows(), small.rows()):
        yield [f"cluster of {few}: {name}" for name in names], once
    for names, once in large.rows():
        yield [f"cluster of {many}: {name}" for name in names], once
