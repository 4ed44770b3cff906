"""Uploads to a cluster whose nodes share out what comes, by a large branch (spec 04 §11.4).

What deciding takes is what passes from PUT to PUT-FROM, at most: the nodes that are chosen
get ready in that time too.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from annexshell.model.ids import UUID
from tests.bench.contenders import Contender
from tests.bench.content import Small, check_absent, greet, large
from tests.bench.measure import Meter, Once, Row
from tests.bench.ratios import Cost
from tests.bench.scene import Ground, Scene
from tests.support.big_branch import BigBranch
from tests.support.repositories import Repo
from tests.support.session import Session, sha256_key

_NODES = 16
_ROOM = "100TB"
_SMALL = 200
"""Uploads and removals of one session."""
_DECISIONS = 30
"""Of one session; the first takes longer than the others."""


class Balanced(Scene):
    """Each key goes to two nodes, those with most room by the sizes of all."""

    def __init__(self, ground: Ground, keys: int) -> None:
        super().__init__(ground, "balanced", _NODES, "bench")
        repo = self.gateway.repo
        for name in self.gateway.nodes:
            repo.annex("group", name, "balanced")
            repo.annex("wanted", name, "sizebalanced=balanced:2")
            repo.annex("maxsize", name, _ROOM)
        uuids = [UUID(node.uuid.encode()) for node in self.gateway.nodes.values()]
        home = Path(ground.world.env(ground.client.bin)["HOME"])
        plain = Repo(repo.path, True, home)
        BigBranch(uuids, keys).import_all(plain)
        plain.forget_index()
        # Else git-annex-shell adds all up, for minutes, at its first upload.
        repo.annex("maxsize")
        (self.uuid,) = self.ways.values()

    def put_many(self) -> Once:
        """Many uploads in one session, and the removals of what came."""
        return self.small_laps(self.uuid, Small(_SMALL), ["PUT", "REMOVE"])

    def put_fresh(self) -> Once:
        """An upload of 1 MiB in a session of its own."""
        content = large(1)
        return self.session(self.uuid, content.put, content.remove)

    def decide(self) -> Once:
        """From PUT to PUT-FROM: the first one of a session, and the median of others."""

        def once(contender: Contender) -> list[Cost]:
            self.apply(contender)
            meter = self.ground.meter
            with self.ground.open(contender, self.repo, self.uuid) as session:
                greet(session)
                check_absent(session)
                first, *others = [
                    _decision(meter, contender, session) for _ in range(_DECISIONS)
                ]
                assert session.end().code == 0, session.stderr
            wall = statistics.median(cost.wall for cost in others)
            cpu = statistics.mean(cost.cpu for cost in others)
            return [first, Cost(wall, cpu, others[-1].peak, others[-1].share)]

        return once


def _decision(meter: Meter, contender: Contender, session: Session) -> Cost:
    content = os.urandom(1 << 10)

    def offer(session: Session) -> None:
        answer = session.ask(b"PUT f " + sha256_key(content))
        assert answer == b"PUT-FROM 0", answer

    cost = meter.lap(contender, session, offer)
    session.write(b"DATA %d\n%bVALID\n" % (len(content), content))
    answer = session.hear()
    assert answer.startswith(b"SUCCESS"), answer
    return cost


def placing_rows(ground: Ground, keys: int) -> Iterator[Row]:
    """The scene is made when the first row is measured: that takes a while."""

    @cache
    def scene() -> Balanced:
        return Balanced(ground, keys)

    sides = ground.sides
    unsynced = [(sides.unsynced, sides.theirs)]
    start = f"balanced cluster of {_NODES}"
    rows = (
        ([f"PUT-FROM, {which}" for which in ("first", "later")], Balanced.decide),
        (["PUT of 1 MiB"], Balanced.put_fresh),
        (["PUT of 1 KiB", "REMOVE"], Balanced.put_many),
    )
    for names, method in rows:

        def make(method: Callable[[Balanced], Once] = method) -> Once:
            return method(scene())

        full = [f"{name}, {start}" for name in names]
        yield Row("Large branches", full, unsynced, make, runs=0.5)
