"""Sizes of repositories by a large branch: what placing needs first (spec 04 §11.4).

git-annex has no command that does only this, so it is beside ``git annex maxsize``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from uuid import UUID as MadeUuid

import attrs

from annexshell.model.ids import UUID
from tests.bench.contenders import Contender
from tests.bench.measure import Once, Row
from tests.bench.processes import children_cpu
from tests.bench.ratios import Cost
from tests.bench.scene import Ground
from tests.support.big_branch import BigBranch
from tests.support.client import Client
from tests.support.client import Repo as ClientRepo
from tests.support.repositories import Repo
from tests.support.world import World

_CHANGED = 5000
_CHECKOUT = Path(__file__).parents[2]
_MEASURE = """
import sys
from annexshell.repository.open import open_repository
from annexshell.repository.sizing import measure
repository = open_repository(sys.argv[1])
for uuid, size in measure(repository).sizes.items():
    print(uuid.decode(), size)
"""
_ADVANCE = """
import sys
from annexshell.repository.open import open_repository
from annexshell.repository.sizing import Measured, advance
_, path, old, tip, *sizes = sys.argv
known = {uuid.encode(): int(size) for uuid, size in zip(sizes[::2], sizes[1::2])}
assert advance(open_repository(path), Measured(old, known), tip)
"""


@attrs.frozen
class Sized:
    """A repository with a large branch; ``uuids`` are all that hold something."""

    repo: Repo
    client: Client
    world: World
    uuids: tuple[UUID, ...]
    branch: BigBranch

    @classmethod
    def create(
        cls, world: World, client: Client, name: str, keys: int, nodes: int
    ) -> Sized:
        """``nodes`` members of the group ``balanced``, which want what it balances.

        Each may hold up to twice of what it holds, and git-annex has added it all up: its
        database of sizes is there.
        """
        made = ClientRepo.create(world, client, world.place / name, bare=True)
        uuids = tuple(made_uuid(number) for number in range(nodes))
        repo = Repo(made.path, True, Path(world.env(client.bin)["HOME"]))
        sized = cls(repo, client, world, uuids, BigBranch(uuids, keys))
        sized.branch.import_all(repo)
        repo.forget_index()
        most = 2 * 2 * sum(map(sized.branch.size, range(keys))) // nodes
        for uuid in uuids:
            text = uuid.decode()
            made.annex("group", text, "balanced")
            made.annex("wanted", text, "sizebalanced=balanced")
            made.annex("maxsize", text, str(most))
        made.annex("maxsize")
        assert (repo.annex_dir / "reposize/db/db").exists()
        return sized

    def forget_sizes(self) -> None:
        shutil.rmtree(self.repo.annex_dir / "reposize", ignore_errors=True)

    def theirs(self) -> Cost:
        """git-annex bringing its sizes up to date."""
        command = [str(self.client.bin / "git-annex"), "maxsize", "--bytes"]
        return self._cost(command, self.repo.path)

    def ours(self, script: str, *words: str) -> Cost:
        # From the checkout, so that it is this one's modules that are measured.
        path = str(self.repo.path)
        return self._cost([sys.executable, "-c", script, path, *words], _CHECKOUT)

    def sizes(self) -> list[str]:
        """Repositories and their sizes, in turn."""
        command = [sys.executable, "-c", _MEASURE, str(self.repo.path)]
        return self._run(command, _CHECKOUT).split()

    def _cost(self, command: list[str], cwd: Path) -> Cost:
        cpu, begun = children_cpu(), time.perf_counter()
        self._run(command, cwd)
        return Cost(time.perf_counter() - begun, children_cpu() - cpu)

    def _run(self, command: list[str], cwd: Path) -> str:
        env = self.world.env(self.client.bin)
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def made_uuid(number: int) -> UUID:
    return UUID(str(MadeUuid(int=number + (4 << 76) + (8 << 60))).encode())


def size_rows(ground: Ground, keys: int) -> Iterator[Row]:
    """The rows for a branch of ``keys``, which is made when the first is measured."""

    @cache
    def scene() -> Sized:
        return Sized.create(ground.world, ground.client, "sized", keys, 16)

    pairs = [(ground.sides.cold, ground.sides.theirs)]
    name = f"sizes by {keys} logs"
    yield Row("Large branches", [name], pairs, lambda: _first(scene()), runs=0.5)
    name = f"sizes after {_CHANGED} changed logs"
    yield Row("Large branches", [name], pairs, lambda: _after(scene()), runs=0.5)


def _first(sized: Sized) -> Once:
    def once(contender: Contender) -> list[Cost]:
        if contender.ours:
            return [sized.ours(_MEASURE)]
        sized.forget_sizes()
        return [sized.theirs()]

    return once


def _after(sized: Sized) -> Once:
    seeds = count(1)

    def once(contender: Contender) -> list[Cost]:
        old = sized.repo.tip()
        sized.theirs()
        known = sized.sizes()
        tip = sized.branch.import_changes(sized.repo, _CHANGED, next(seeds))
        if contender.ours:
            return [sized.ours(_ADVANCE, old, tip, *known)]
        sized.repo.forget_index()
        return [sized.theirs()]

    return once
