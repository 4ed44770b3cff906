"""Uploads to a cluster whose nodes share out what comes, by a large branch (spec 04 §11.4)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from annexshell.model.ids import UUID
from tests.bench.clusters import Cluster
from tests.bench.measure import Once
from tests.bench.scene import SMALL, Row
from tests.support.big_branch import BigBranch
from tests.support.client import Client
from tests.support.repositories import Repo
from tests.support.world import World

_NODES, _KEYS = 16, 100_000
_ROOM = "100TB"


class Balanced(Cluster):
    """Each key goes to two nodes, those with most room by the sizes of all."""

    def __init__(self, world: World, client: Client) -> None:
        super().__init__(world, client, 1, _NODES)
        repo = self.gateway.repo
        for name in self.gateway.nodes:
            repo.annex("group", name, "balanced")
            repo.annex("wanted", name, "sizebalanced=balanced:2")
            repo.annex("maxsize", name, _ROOM)
        uuids = [UUID(node.uuid.encode()) for node in self.gateway.nodes.values()]
        plain = Repo(repo.path, True, Path(world.env(client.bin)["HOME"]))
        BigBranch(uuids, 0).import_changes(plain, _KEYS)
        plain.forget_index()
        # Else git-annex-shell adds all up, for minutes, at its first upload.
        repo.annex("maxsize")

    def put_many(self) -> Once:
        """Many uploads in one session, and the removals of what came."""
        return self.unsynced(self.laps(self.uuid, [self.put_small, self.remove_small]))


def placing_rows(world: World, client: Client) -> Iterator[Row]:
    """The scene is made when the first row is measured: that takes a while."""

    @cache
    def scene() -> Balanced:
        return Balanced(world, client)

    start = f"cluster of {_NODES}, balanced"
    yield [f"{start}: PUT"], lambda program: scene().put_fresh(scene().uuid)(program)
    many = (f"{SMALL} PUT of 1 KiB, no fsync", f"{SMALL} REMOVE, no fsync")
    yield [f"{start}: {name}" for name in many], lambda name: scene().put_many()(name)
