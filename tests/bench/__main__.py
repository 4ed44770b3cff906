"""make bench: annexshell beside git-annex-shell, in the same interleaved run.

git-annex-shell is called through a link to the program itself, not through the Python
script that PyPI puts around it. A ratio below 1 means that annexshell needs less.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path

from tests.bench.clusters import cluster_rows
from tests.bench.measure import Cost, Once, interleaved, measured, medians
from tests.bench.placing import placing_rows
from tests.bench.scene import MIB, OURS, THEIRS, Row, Scene
from tests.bench.sizes import size_rows
from tests.support.client import CLIENTS, Client, find_client
from tests.support.session import Session, sha256_key
from tests.support.world import World, remove_tree

REQUESTS = 2000
_FEW, _MANY = 2, 8
"""Nodes of the clusters."""
_LONG = 3
"""Runs, at most, of what takes long: many requests, or many nodes."""


class Bench(Scene):
    """A gateway with one node by path, and one row for each thing measured."""

    def __init__(self, world: World, client: Client, size: int) -> None:
        super().__init__(world, client, world.place / "gw", size)
        node = self.gateway.add_path_node("node")
        self.gateway.publish()
        self.uuids = {"direct": self.repo.uuid, "proxied": node.uuid}

    def command(self, words: str) -> Once:
        """One command line, to its end; the peak of a program that ended is not known."""

        def start(program: str) -> Session:
            argv = [program, "-c", words]
            return Session(argv, cwd=self.world.place, env=self.repo.env)

        return lambda program: [measured(start, program, lambda session: None)]

    def rows(self) -> Iterator[Row]:
        path, direct, proxied = self.repo.path, *self.uuids.values()
        command, session = self.command, self.session
        yield ["refused command"], command("git-annex-shell 'nonsense' '/x'")
        yield ["configlist"], command(f"git-annex-shell 'configlist' '{path}'")
        yield ["p2pstdio, hello only"], session(direct, lambda _: None)
        yield [f"{REQUESTS} CHECKPRESENT"], session(direct, checks)
        yield [f"{REQUESTS} CHECKPRESENT, proxied"], session(proxied, checks)
        yield ["PUT"], self.put_fresh(direct)
        yield ["GET"], self.get_present(direct)
        yield ["PUT, proxied"], self.put_fresh(proxied)
        yield ["GET, proxied"], self.get_present(proxied)


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
        f"{name:<42} {ours.wall * 1000:9.1f} {theirs.wall * 1000:9.1f}"
        f" {ours.wall / theirs.wall:6.2f}  {ours.cpu * 1000:9.1f}"
        f" {theirs.cpu * 1000:9.1f} {ours.cpu / max(theirs.cpu, 1e-9):6.2f}  {memory}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--times", type=int, default=7, help="runs of each")
    parser.add_argument("--size", type=int, default=256, help="MiB of PUT and GET")
    parser.add_argument("--only", default="*", help="rows, as a pattern of names")
    parser.add_argument(
        "--keys", type=int, default=100_000, help="of large branches; a million is slow"
    )
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
            f"medians of {options.times} interleaved runs; {options.size} MiB content;"
            f" {options.keys} keys on large branches"
        )
        print(
            f"{'':<42} {'wall ms':>9} {'theirs':>9} {'ratio':>6}  {'cpu ms':>9}"
            f" {'theirs':>9} {'ratio':>6}  {'MiB':>7} {'theirs':>7}"
        )
        clusters = cluster_rows(world, client, options.size, _FEW, _MANY)
        sizes = size_rows(world, client, bench.programs[OURS], options.keys)
        placing = placing_rows(world, client, options.keys)
        for names, once in chain(bench.rows(), sizes, clusters, placing):
            if not any(fnmatch(name, options.only) for name in names):
                continue
            long = len(names) > 1 or names[0].startswith(f"cluster of {_MANY}")
            times = min(options.times, _LONG) if long else options.times
            costs = interleaved(bench.programs, times, once)
            both = zip(medians(costs[OURS]), medians(costs[THEIRS]), strict=True)
            for name, (ours, theirs) in zip(names, both, strict=True):
                print(report(name, ours, theirs), flush=True)
    finally:
        remove_tree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
