"""The rows: what is measured, of whom, and on which scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from tests.bench.contenders import Contender
from tests.bench.content import REFUSED_LOCK, Small, first_answer, hear_greeting, large
from tests.bench.crowd import crowd
from tests.bench.measure import Once, Row
from tests.bench.scene import Ground, Scene

_WAYS = ("local", "proxied", "cluster of 2")
_FAN_OUT = (2, 4, 8)

SceneFor = Callable[[str], Scene]
Pairs = list[tuple[Contender, Contender]]


@dataclass(frozen=True)
class Amounts:
    """How much is measured: MiB of large content, numbers of all else."""

    times: int = 7
    large: int = 256
    fan_out: int = 64
    small: int = 60
    crowd: int = 50
    file: int = 500
    """MB (10^6 bytes) of the file that a real client gets."""
    files: int = 500
    keys: int = 0


QUICK = Amounts(times=3, large=32, fan_out=16, small=15, crowd=10, file=50, files=50)


def scenes(ground: Ground) -> SceneFor:
    """Gives the scene for a way to content; each is set up when it is first asked for."""

    @cache
    def clustered(nodes: int) -> Scene:
        return Scene(ground, f"cluster{nodes}", nodes, "bench")

    @cache
    def single() -> Scene:
        return Scene(ground, "gw", 1)

    def scene(way: str) -> Scene:
        nodes = way.removeprefix("cluster of ")
        return clustered(int(nodes)) if nodes != way else single()

    return scene


def session_rows(ground: Ground, amounts: Amounts, scene: SceneFor) -> Iterator[Row]:
    """All rows but those of real clients and of large branches."""
    yield from start_rows(ground, scene)
    yield from large_rows(ground, amounts, scene)
    yield from small_rows(ground, amounts, scene)
    yield from fan_out_rows(ground, amounts, scene)
    yield from crowd_rows(ground, amounts, scene)


def start_rows(ground: Ground, scene: SceneFor) -> Iterator[Row]:
    """From the start of the program to AUTH-SUCCESS, and to the first answer."""
    pairs: Pairs = [(ours, ground.sides.theirs) for ours in ground.sides.starts]
    for way in _WAYS:
        names = [f"AUTH-SUCCESS, {way}", f"first answer, {way}"]

        def make(way: str = way) -> Once:
            works = [hear_greeting, first_answer]
            return scene(way).steps(scene(way).ways[way], works)

        yield Row("Start", names, pairs, make, runs=2)


def large_rows(ground: Ground, amounts: Amounts, scene: SceneFor) -> Iterator[Row]:
    """Whole sessions that get or put one large content."""
    sides = ground.sides
    pairs: Pairs = [(ours, sides.theirs) for ours in sides.starts]
    for way in _WAYS:

        def make_get(way: str = way) -> Once:
            content, on = large(amounts.large), scene(way)
            return on.session(on.ways[way], content.get, content.have)

        yield Row("Large content", [f"GET, {way}"], pairs, make_get)
    for way in _WAYS:
        make = _fresh_put(scene, way, amounts.large)
        both: Pairs = [*pairs, (sides.unsynced, sides.theirs)]
        yield Row("Large content", [f"PUT, {way}"], both, make, runs=0.7)


def _fresh_put(scene: SceneFor, way: str, mebibytes: int) -> Callable[[], Once]:
    """PUT where the key is not, every time."""

    def make() -> Once:
        content, on = large(mebibytes), scene(way)
        return on.session(on.ways[way], content.put, content.remove)

    return make


def small_rows(ground: Ground, amounts: Amounts, scene: SceneFor) -> Iterator[Row]:
    """Requests for contents of 1 KiB within a session."""
    sides = ground.sides
    pairs: Pairs = [(sides.usual, sides.theirs), (sides.unsynced, sides.theirs)]
    small = Small(amounts.small)
    for way in _WAYS:
        other = "LOCKCONTENT" if way == _WAYS[-1] else REFUSED_LOCK
        kinds = [kind for kind in small.works if kind != other]

        def make(way: str = way, kinds: list[str] = kinds) -> Once:
            on = scene(way)
            return on.small_laps(on.ways[way], small, kinds)

        names = [f"{kind}, {way}" for kind in kinds]
        yield Row("Small operations", names, pairs, make)


def fan_out_rows(ground: Ground, amounts: Amounts, scene: SceneFor) -> Iterator[Row]:
    """One content to all nodes of clusters."""
    sides = ground.sides
    pairs: Pairs = [(sides.usual, sides.theirs), (sides.unsynced, sides.theirs)]
    for nodes in _FAN_OUT:
        make = _fresh_put(scene, f"cluster of {nodes}", amounts.fan_out)
        yield Row("Fan-out", [f"PUT to {nodes} nodes"], pairs, make, runs=0.5)


def crowd_rows(ground: Ground, amounts: Amounts, scene: SceneFor) -> Iterator[Row]:
    """Many sessions at once."""
    pairs: Pairs = [(ours, ground.sides.theirs) for ours in ground.sides.starts]
    for way in ("local", "cluster of 2"):

        def make(way: str = way) -> Once:
            return crowd(scene(way), scene(way).ways[way], amounts.crowd)

        names = [f"{amounts.crowd} sessions, {way}"]
        yield Row("Many sessions", names, pairs, make, runs=0.5)
