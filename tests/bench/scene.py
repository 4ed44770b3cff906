"""What is measured on: a gateway with nodes by path, and sessions with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.bench.contenders import Contender, Sides
from tests.bench.content import Small, after_greeting, check_absent, greet
from tests.bench.measure import Meter, Once, Work
from tests.bench.ratios import Cost
from tests.support.client import Client, Repo
from tests.support.gateway import Gateway
from tests.support.session import Session, on_pipes
from tests.support.world import World

_SETTLED = 0.2
"""Seconds after which a change of the config is not new any more."""


@dataclass(frozen=True)
class Ground:
    """What all scenes stand on: a world, a git-annex, who is compared, and the meter."""

    world: World
    client: Client
    sides: Sides
    meter: Meter
    runtime: Path
    """Where residents have their sockets (XDG_RUNTIME_DIR)."""

    def open(self, contender: Contender, repo: Repo, uuid: str) -> Session:
        """A session as sshd starts it."""
        variables = {"XDG_RUNTIME_DIR": str(self.runtime)}
        return on_pipes(self.world, contender.program, repo, uuid, **variables)


class Scene:
    """One gateway at ``place`` with ``nodes`` nodes: a cluster, if it is given a name."""

    def __init__(
        self, ground: Ground, place: str, nodes: int, cluster: str = ""
    ) -> None:
        self.ground = ground
        path = ground.world.place / place
        self.gateway = Gateway.create(ground.world, ground.client, path, bare=True)
        for number in range(nodes):
            self.gateway.add_path_node(f"n{number}")
        if cluster:
            self.gateway.publish_cluster(cluster=cluster)
        else:
            self.gateway.publish()
        self._cluster = cluster
        self._applied: dict[str, str] = {}

    @cached_property
    def repo(self) -> Repo:
        """The gateway's. Its uuid is asked for once: that runs git."""
        return _Fixed(self.gateway.repo)

    @cached_property
    def ways(self) -> dict[str, str]:
        """By name: the uuid to ask the gateway for."""
        if self._cluster:
            name = f"cluster of {len(self.gateway.nodes)}"
            return {name: self.gateway.cluster(self._cluster)}
        node = next(iter(self.gateway.nodes.values()))
        return {"local": self.repo.uuid, "proxied": node.uuid}

    def apply(self, contender: Contender) -> None:
        """Set its settings in all repositories; what reads them anew is not measured."""
        changed = dict(contender.settings.items() - self._applied.items())
        for name, value in changed.items():
            for repo in (self.gateway.repo, *self.gateway.nodes.values()):
                repo.git("config", name, value)
        self._applied |= changed
        if changed:
            # A config that was written just now may change unseen, so what git says of it
            # is not kept. In everyday use it was written long ago.
            time.sleep(_SETTLED)
            for uuid in (2 if contender.warm else 1) * [*self.ways.values()]:
                self.do(contender, uuid, check_absent)

    def do(self, contender: Contender, uuid: str, work: Work) -> None:
        """A session that is not measured."""
        with self.ground.open(contender, self.repo, uuid) as session:
            greet(session)
            work(session)
            assert session.end().code == 0, session.stderr

    # -- ways to measure ---------------------------------------------------------------------

    def session(self, uuid: str, work: Work, prepare: Work | None = None) -> Once:
        """The cost of a whole session that does ``work`` after the greeting.

        ``prepare`` happens in a session of ours before it, and is not measured.
        """

        def once(contender: Contender) -> list[Cost]:
            self.apply(contender)
            if prepare is not None:
                self.do(self._preparing(contender), uuid, prepare)
            start = self._starter(contender, uuid)
            return [self.ground.meter.whole(contender, start, after_greeting(work))]

        return once

    def steps(self, uuid: str, works: Sequence[Work]) -> Once:
        """The costs from the start of a session to the end of each of ``works``."""

        def once(contender: Contender) -> list[Cost]:
            self.apply(contender)
            start = self._starter(contender, uuid)
            return self.ground.meter.since_start(contender, start, works)

        return once

    def laps(self, uuid: str, works: Sequence[tuple[Work, int]]) -> Once:
        """The cost of a request of each of ``works``, which say how many they make.

        All in one session, of which neither the start nor the end is measured.
        """

        def once(contender: Contender) -> list[Cost]:
            self.apply(contender)
            with self.ground.open(contender, self.repo, uuid) as session:
                greet(session)
                check_absent(session)
                lap = self.ground.meter.lap
                costs = [
                    lap(contender, session, work).each(count) for work, count in works
                ]
                assert session.end().code == 0, session.stderr
            return costs

        return once

    def small_laps(self, uuid: str, small: Small, kinds: Sequence[str]) -> Once:
        """Requests of these kinds for small content."""
        return self.laps(uuid, [small.works[kind] for kind in kinds])

    def _starter(self, contender: Contender, uuid: str) -> Callable[[], Session]:
        return lambda: self.ground.open(contender, self.repo, uuid)

    def _preparing(self, contender: Contender) -> Contender:
        return contender if contender.ours else self.ground.sides.usual


class _Fixed(Repo):
    """A repository whose uuid is known: asking git for it would be measured too."""

    def __init__(self, repo: Repo) -> None:
        super().__init__(repo.world, repo.client, repo.path, repo.env)
        self._uuid = repo.uuid

    @property
    def uuid(self) -> str:
        return self._uuid
