"""make bench: annexshell beside git-annex-shell, in the same interleaved run.

git-annex-shell is called through a link to the program itself, not through the Python
script that PyPI puts around it. A ratio below 1 means that annexshell needs less.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench.measure import Cost, interleaved, measured, medians
from tests.support.client import CLIENTS, Client, Repo, find_client
from tests.support.gateway import Gateway
from tests.support.session import Session, on_pipes, sha256_key
from tests.support.world import World, remove_tree

OURS, THEIRS = "annexshell", "git-annex-shell"
MIB = 1 << 20
REQUESTS = 2000

Once = Callable[[str], Cost]


class Bench:
    """The repositories measured on, and one method for each thing measured."""

    def __init__(self, world: World, client: Client, size: int) -> None:
        self.world = world
        self.env = world.env(client.bin)
        self.gateway = Gateway.create(world, client, world.place / "gw", bare=True)
        self.node = self.gateway.add_path_node("node")
        self.gateway.publish()
        self.repo = self.gateway.repo
        self.uuids = {"direct": self.repo.uuid, "proxied": self.node.uuid}
        self.content = os.urandom(MIB) * size
        self.key = sha256_key(self.content)
        self.programs = {
            OURS: str(world.bin / "annexshell"),
            THEIRS: str(client.shell),
        }

    def command(self, words: str) -> Once:
        """One command line, to its end; the peak of a program that ended is not known."""

        def start(program: str) -> Session:
            argv = [program, "-c", words]
            return Session(argv, cwd=self.world.place, env=self.env)

        return lambda program: measured(start, program, lambda session: None)

    def session(self, uuid: str, work: Callable[[Session], None]) -> Once:
        def start(program: str) -> Session:
            return on_pipes(self.world, program, self.repo, uuid)

        def greeted(session: Session) -> None:
            session.greet()
            work(session)

        # The uuid is asked for once, here: it runs git.
        self.repo = _Fixed(self.repo, self.uuids["direct"])
        return lambda program: measured(start, program, greeted)

    def get(self, session: Session) -> None:
        assert session.ask(b"GET 0 f " + self.key) == b"DATA %d" % len(self.content)
        session.skip(len(self.content))
        assert session.hear() == b"VALID"
        session.say(b"SUCCESS")

    def put(self, session: Session) -> None:
        assert session.put(self.key, self.content) == b"SUCCESS", session.stderr

    def remove(self, uuid: str) -> None:
        with on_pipes(self.world, self.programs[THEIRS], self.repo, uuid) as session:
            session.greet()
            assert session.ask(b"REMOVE " + self.key) == b"SUCCESS"
            session.end()

    def put_fresh(self, uuid: str) -> Once:
        """PUT into a repository that has not got the key, every time."""
        put = self.session(uuid, self.put)

        def once(program: str) -> Cost:
            self.remove(uuid)
            return put(program)

        return once

    def rows(self) -> dict[str, Once]:
        path = self.repo.path
        return {
            "refused command": self.command("git-annex-shell 'nonsense' '/x'"),
            "configlist": self.command(f"git-annex-shell 'configlist' '{path}'"),
            "p2pstdio, hello only": self.session(self.uuids["direct"], lambda _: None),
            f"{REQUESTS} CHECKPRESENT": self.session(self.uuids["direct"], checks),
            f"{REQUESTS} CHECKPRESENT, proxied": self.session(
                self.uuids["proxied"], checks
            ),
            "PUT": self.put_fresh(self.uuids["direct"]),
            "GET": self.session(self.uuids["direct"], self.get),
            "PUT, proxied": self.put_fresh(self.uuids["proxied"]),
            "GET, proxied": self.session(self.uuids["proxied"], self.get),
        }


class _Fixed(Repo):
    """A repository whose uuid is known: asking git for it would be measured too."""

    def __init__(self, repo: Repo, uuid: str) -> None:
        super().__init__(repo.world, repo.client, repo.path, repo.env)
        self._uuid = uuid

    @property
    def uuid(self) -> str:
        return self._uuid


def checks(session: Session) -> None:
    """One request after the other, each waiting for its answer."""
    absent = sha256_key(b"absent")
    for _ in range(REQUESTS):
        assert session.ask(b"CHECKPRESENT " + absent) == b"FAILURE"


def report(name: str, ours: Cost, theirs: Cost) -> str:
    memory = (
        f"{ours.peak / MIB:7.1f} {theirs.peak / MIB:7.1f}" if ours.peak else " " * 15
    )
    return (
        f"{name:<30} {ours.wall * 1000:9.1f} {theirs.wall * 1000:9.1f}"
        f" {ours.wall / theirs.wall:6.2f}  {ours.cpu * 1000:9.1f}"
        f" {theirs.cpu * 1000:9.1f} {ours.cpu / max(theirs.cpu, 1e-9):6.2f}  {memory}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--times", type=int, default=7, help="runs of each")
    parser.add_argument("--size", type=int, default=256, help="MiB of PUT and GET")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="ax-bench-"))
    try:
        world = World(place)
        client = find_client(CLIENTS[0], world)
        if client is None:
            print(f"bench: git-annex {CLIENTS[0]} is not installed", file=sys.stderr)
            return 1
        bench = Bench(world, client, options.size)
        print(
            f"medians of {options.times} interleaved runs; {options.size} MiB content"
        )
        print(
            f"{'':<30} {'wall ms':>9} {'theirs':>9} {'ratio':>6}  {'cpu ms':>9}"
            f" {'theirs':>9} {'ratio':>6}  {'MiB':>7} {'theirs':>7}"
        )
        for name, once in bench.rows().items():
            costs = interleaved(bench.programs, options.times, once)
            line = report(name, medians(costs[OURS]), medians(costs[THEIRS]))
            print(line, flush=True)
    finally:
        remove_tree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
