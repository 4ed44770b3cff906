"""A run of the bench: what it stands on, its rows in turn, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from tempfile import mkdtemp

from tests.bench.clients import client_rows
from tests.bench.contenders import install_launchers, sides
from tests.bench.measure import Meter, Row, interleaved
from tests.bench.placing import placing_rows
from tests.bench.resident import resident
from tests.bench.results import Comparison
from tests.bench.rows import Amounts, scenes, session_rows
from tests.bench.scene import Ground
from tests.bench.sizes import size_rows
from tests.support.client import CLIENTS, HOW, Repo, find_client
from tests.support.world import World, remove_tree

_FEWEST = 3
"""Runs of each, at least: below that there is no spread."""


class NotInstalled(Exception):
    """git-annex, which we are compared to, is not here."""


@contextmanager
def prepared(*, cold: bool) -> Iterator[tuple[Ground, ExitStack]]:
    """A place for all repositories, and a resident unless all sessions are to be cold.

    What is put on the stack ends before both. Raises NotInstalled, NoResident.
    """
    place = Path(mkdtemp(prefix="ax-bench-"))
    try:
        with ExitStack() as stack:
            yield _ground(World(place), stack, cold=cold), stack
    finally:
        remove_tree(place)


def _ground(world: World, stack: ExitStack, *, cold: bool) -> Ground:
    client = find_client(CLIENTS[0], world)
    if client is None:
        raise NotInstalled(f"git-annex {CLIENTS[0]} is not here: {HOW[CLIENTS[0]]}")
    install_launchers(world.bin)
    runtime = world.place / "run"
    runtime.mkdir(mode=0o700)
    chosen = sides(str(world.bin / "annexshell"), str(client.shell), warm=not cold)
    ground = Ground(world, client, chosen, Meter(), runtime)
    usual = chosen.warm
    if usual is None:
        return ground
    first = Repo.create(world, client, world.place / "first", bare=True)
    for name, value in usual.settings.items():
        first.git("config", name, value)
    kept = resident(runtime, lambda: ground.open(usual, first, first.uuid))
    return replace(ground, meter=Meter(stack.enter_context(kept)))


def rows(ground: Ground, amounts: Amounts, stack: ExitStack) -> Iterator[Row]:
    """All rows; those of large branches only where keys are asked for."""
    yield from session_rows(ground, amounts, scenes(ground))
    yield from client_rows(ground, amounts, stack)
    if amounts.keys:
        large = size_rows(ground, amounts.keys), placing_rows(ground, amounts.keys)
        yield from chain(*large)


def chosen(row: Row, only: str) -> bool:
    """Whether ``only``, a pattern, names one of a row's names, with or without its group."""
    full = (f"{row.group}: {name}" for name in row.names)
    return any(fnmatch(name, only) for name in (*row.names, *full))


def compare(row: Row, times: int) -> Iterator[Comparison]:
    """Run a row to its end; what it says, name by name."""
    runs = interleaved(
        row.contenders, max(_FEWEST, round(times * row.runs)), row.make()
    )
    for number, name in enumerate(row.names):
        for subject, reference in row.pairs:
            ours, theirs = (
                tuple(run[number] for run in runs[one.name])
                for one in (subject, reference)
            )
            yield Comparison(
                row.group, name, subject.name, reference.name, ours, theirs
            )
