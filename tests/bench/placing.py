"""Uploads to a cluster whose nodes share out what comes, by a large branch (spec 04 §11.4).

What deciding takes is what passes from PUT to PUT-FROM, at most: the nodes that are chosen
get ready in that time too.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from annexshell.model.ids import UUID
from tests.bench.clusters import Cluster
from tests.bench.measure import Cost, Once, lap
from tests.bench.scene import SMALL, Row
from tests.support.big_branch import BigBranch
from tests.support.client import Client
from tests.support.repositories import Repo
from tests.support.session import Session, sha256_key
from tests.support.world import World

_NODES = 16
_ROOM = "100TB"
_DECISIONS = 30
"""Of one session; the first takes longer than the others."""


class Balanced(Cluster):
    """Each key goes to two nodes, those with most room by the sizes of all."""

    def __init__(self, world: World, client: Client, keys: int) -> None:
        super().__init__(world, client, 1, _NODES)
        repo = self.gateway.repo
        for name in self.gateway.nodes:
            repo.annex("group", name, "balanced")
            repo.annex("wanted", name, "sizebalanced=balanced:2")
            repo.annex("maxsize", name, _ROOM)
        uuids = [UUID(node.uuid.encode()) for node in self.gateway.nodes.values()]
        plain = Repo(repo.path, True, Path(world.env(client.bin)["HOME"]))
        BigBranch(uuids, keys).import_all(plain)
        plain.forget_index()
        # Else git-annex-shell adds all up, for minutes, at its first upload.
        repo.annex("maxsize")

    def put_many(self) -> Once:
        """Many uploads in one session, and the removals of what came."""
        return self.unsynced(self.laps(self.uuid, [self.put_small, self.remove_small]))

    def decide(self) -> Once:
        """From PUT to PUT-FROM: the first one of a session, and the median of others."""

        def once(program: str) -> list[Cost]:
            with self.open(program, self.uuid) as session:
                session.greet()
                self.check_absent(session)
                first, *others = [_decision(session) for _ in range(_DECISIONS)]
                assert session.end().code == 0, session.stderr
            wall = statistics.median(cost.wall for cost in others)
            cpu = statistics.mean(cost.cpu for cost in others)
            return [first, Cost(wall, cpu, others[-1].peak)]

        return self.unsynced(once)


def _decision(session: Session) -> Cost:
    content = os.urandom(1 << 10)

    def offer(session: Session) -> None:
        answer = session.ask(b"PUT f " + sha256_key(content))
        assert answer == b"PUT-FROM 0", answer

    cost = lap(session, offer)
    session.write(b"DATA %d\n%bVALID\n" % (len(content), content))
    answer = session.hear()
    assert answer.startswith(b"SUCCESS"), answer
    return cost


def placing_rows(world: World, client: Client, keys: int) -> Iterator[Row]:
    """The scene is made when the first row is measured: that takes a while."""

    @cache
    def scene() -> Balanced:
        return Balanced(world, client, keys)

    start = f"cluster of {_NODES}, balanced"
    names = [f"{start}: PUT-FROM, {which}" for which in ("first", "later")]
    yield names, lambda program: scene().decide()(program)
    yield [f"{start}: PUT"], lambda program: scene().put_fresh(scene().uuid)(program)
    many = (f"{SMALL} PUT of 1 KiB, no fsync", f"{SMALL} REMOVE, no fsync")
    names = [f"{start}: {name}" for name in many]
    yield names, lambda program: scene().put_many()(program)
