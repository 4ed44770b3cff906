"""annexshell-admin's commands on clusters leave what git-annex's leave, and say the same.

Each step changes two identical copies of an estate alike; then one is updated by git-annex
and the other by annexshell-admin, taking turns, and after that the other way round, when
there is nothing left to do.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import attrs
import pytest

from tests.support.client import Client, Repo
from tests.support.process import Result, run
from tests.support.sshserver import SshServer
from tests.support.world import World

LOGS = ("proxy.log", "cluster.log", "uuid.log")
THEIRS, OURS = "git-annex", "annexshell-admin"
_CLOCK = re.compile(r"^\d+s |timestamp=\d+s$", re.MULTILINE)
_CLUSTER = re.compile(r"ac[0-9a-f]{6}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f-]{17}")

#: What git-annex says of its own accord about remotes that it looked at.
_ASIDE = ("cannot currently be accessed", "Unable to parse git config")
#: What only annexshell warns of, or adds to a warning.
_MORE = ("is to be a node of", "gateway of no cluster", "is not a name that clients")
_ADVICE = re.compile(r" Suggest you run: git-annex info \S+$")
_NOTHING = re.compile(r"No (cluster node changes for cluster: .*|proxy changes .*)")


def admin(repo: Repo, program: str, *words: str, check: bool = True) -> Result:
    """Run a command of either program in a repository."""
    argv = ["git", "annex"] if program == THEIRS else ["annexshell-admin"]
    return run([*argv, *words], cwd=repo.path, env=repo.env, check=check)


def said(done: Result) -> tuple[int, str, list[str]]:
    """The exit code, stdout, and what both programs warn of."""
    out = re.sub(r"^\(.*\.\.\.\)\n", "", done.out, flags=re.MULTILINE)
    lines = [line.strip() for line in done.err.splitlines()]
    lines = [_ADVICE.sub("", line.removeprefix(f"{OURS}: ")) for line in lines]
    skip = (*_ASIDE, *_MORE)
    return done.code, out, [line for line in lines if not any(w in line for w in skip)]


def newest(text: str) -> dict[str, str]:
    """Each subject's newest line, without its clock; both programs let older ones be."""
    found: dict[str, tuple[int, str]] = {}
    for line in text.splitlines():
        clock = _CLOCK.search(line)
        assert clock is not None, line
        rest = _CLOCK.sub("", line)
        entry = int(clock[0].strip("timesap= ")), rest
        subject = rest.partition(" ")[0]
        found[subject] = max(entry, found.get(subject, entry))
    return {subject: rest for subject, (_, rest) in found.items()}


def left(repo: Repo) -> tuple[dict[str, dict[str, str]], list[str]]:
    """What the logs say now, and git's config."""
    logs = {
        name: newest(repo.git("show", f"git-annex:{name}", check=False).out)
        for name in LOGS
    }
    return logs, sorted(repo.git("config", "--local", "--list").out.splitlines())


@attrs.frozen
class Pair:
    """Two copies of the same repositories, below each of ``places``."""

    world: World
    client: Client
    places: tuple[Path, Path]

    def repos(self, name: str) -> list[Repo]:
        return [Repo(self.world, self.client, place / name) for place in self.places]

    def git(self, name: str, *words: str) -> None:
        """The same in both copies."""
        for repo in self.repos(name):
            repo.git(*words)

    def annex(self, name: str, *words: str) -> None:
        """The same in both copies."""
        for repo in self.repos(name):
            repo.annex(*words)

    def alike(self, name: str, *words: str) -> tuple[str, list[str]]:
        """Have each program do it in one copy; what both said."""
        first, second = self.repos(name)
        theirs, ours = admin(first, THEIRS, *words), admin(second, OURS, *words)
        assert said(theirs) == said(ours)
        (logs, config), (other_logs, other_config) = left(first), left(second)
        assert logs == other_logs
        assert config == other_config
        self._settled(first, OURS, words[0])
        self._settled(second, THEIRS, words[0])
        _, out, warned = said(ours)
        return out, warned

    def _settled(self, repo: Repo, program: str, command: str) -> None:
        """The other program finds nothing to do."""
        again = "updateproxy" if command == "updateproxy" else "updatecluster"
        before, tip = left(repo), repo.git("rev-parse", "git-annex").out
        done = admin(repo, program, again)
        assert all(_NOTHING.fullmatch(line) for line in said(done)[1].splitlines()), (
            done
        )
        assert left(repo) == before
        assert repo.git("rev-parse", "git-annex").out == tip

    def swapped(self) -> Pair:
        return attrs.evolve(self, places=(self.places[1], self.places[0]))


def doubled(world: World, client: Client, place: Path) -> Pair:
    """Copy what was made in ``place``/one to ``place``/two."""
    shutil.copytree(place / "one", place / "two", symlinks=True)
    return Pair(world, client, (place / "one", place / "two"))


@pytest.fixture
def estate(world: World, current: Client, place: Path) -> Pair:
    """A gateway with a cluster, nodes beside it, and special remotes of three kinds."""
    top = place / "one"
    gateway = Repo.create(world, current, top / "gw", bare=True)
    for name in ("n1", "n2", "n3"):
        Repo.create(world, current, top / name, bare=True)
    exports = {"plain": [], "export": ["exporttree=yes"]}
    exports["objects"] = ["exporttree=yes", "annexobjects=yes"]
    for name, words in exports.items():
        (place / name).mkdir()
        kind = ["type=directory", f"directory={place / name}", "encryption=none"]
        gateway.annex("initremote", name, *kind, *words)
    gateway.annex("initcluster", "pool", "all of it")
    return doubled(world, current, place)


Step = Callable[[Pair], None]


def _set(**settings: str) -> Step:
    """Settings ``NAME="proxy true"`` of remotes."""

    def step(pair: Pair) -> None:
        for name, text in settings.items():
            key, _, value = text.partition(" ")
            pair.git("gw", "config", f"remote.{name}.annex-{key}", value)

    return step


def _unset(**settings: str) -> Step:
    def step(pair: Pair) -> None:
        for name, key in settings.items():
            pair.git("gw", "config", "--unset", f"remote.{name}.annex-{key}")

    return step


def _git(*words: str) -> Step:
    return lambda pair: pair.git("gw", *words)


def _add(*names: str) -> Step:
    def step(pair: Pair) -> None:
        for name in names:
            pair.git("gw", "remote", "add", name, f"../{name}")

    return step


STEPS: tuple[tuple[str, tuple[Step, ...], str], ...] = (
    ("updatecluster",
     (_add("n1", "n2"), _set(n1="cluster-node pool", n2="cluster-node pool")),
     "Added node n2 to cluster: pool"),
    ("updateproxy",
     (_add("n3", "gone"), _set(n3="proxy true", gone="proxy true")),
     "Started proxying for n3"),
    ("updatecluster",
     (_set(plain="cluster-node pool", export="cluster-node pool",
           objects="cluster-node pool"),),
     "Added node objects to cluster: pool"),
    ("updatecluster",
     (_git("remote", "rename", "n2", "other"), _git("remote", "remove", "n1"),
      _unset(plain="cluster-node")),
     "Removed node [plain] from cluster: pool"),
    ("updatecluster",
     (_git("remote", "add", "also", "../n3"), _unset(n3="proxy"),
      _set(n3="cluster-node nowhere pool", also="cluster-node pool")),
     "Added node also to cluster: pool"),
    ("updatecluster",
     (_unset(n3="cluster-node", also="cluster-node", other="cluster-node",
             export="cluster-node", objects="cluster-node"),),
     "Removed node [objects] from cluster: pool"),
    ("updateproxy", (_git("config", "--unset", "annex.cluster.pool"),),
     "Stopped proxying for pool"),
)  # fmt: skip


def test_both_programs_make_the_same_of_every_change(estate: Pair) -> None:
    pair, warnings = estate, set()
    for command, steps, expected in STEPS:
        for step in steps:
            step(pair)
        out, warned = pair.alike("gw", command)
        assert expected in out
        warnings |= {line.partition(" is a ")[0] for line in warned}
        pair = pair.swapped()
    assert warnings == {"gone", "export"}
    logs, _ = left(pair.repos("gw")[0])
    # What is emptied keeps its line, with a space at its end.
    assert list(logs["cluster.log"].values())[0].endswith(" ")
    assert "pool" not in str(logs["proxy.log"])


VALUES = ("proxy true", "proxy junk", "cluster-node pool", "cluster-node more pool",
          "cluster-node nowhere", "cluster-node more")  # fmt: skip
ROUNDS = int(os.environ.get("ANNEXSHELL_ADMIN_ROUNDS", "3"))


def test_settings_at_random(estate: Pair) -> None:
    """ANNEXSHELL_ADMIN_ROUNDS=100 makes it look for longer."""
    dice, pair = random.Random(ROUNDS), estate
    _add("n1", "n2", "n3")(pair)
    uuid = "acf788bc-41dd-8c24-b6ef-c199bfe447e6"
    pair.git("gw", "config", "annex.cluster.more", uuid)
    remotes = ("n1", "n2", "n3", "plain", "export", "objects")
    # git-annex notes the uuids of all remotes, we those of remotes that are published.
    _set(**{name: f"uuid {pair.repos(name)[0].uuid}" for name in remotes[:3]})(pair)
    for _ in range(ROUNDS):
        for name in dice.sample(remotes, 3):
            for setting in ("proxy", "cluster-node"):
                for repo in pair.repos("gw"):
                    key = f"remote.{name}.annex-{setting}"
                    repo.git("config", "--unset", key, check=False)
            for value in dice.sample(VALUES, dice.randrange(3)):
                _set(**{name: value})(pair)
        pair.alike("gw", dice.choice(("updatecluster", "updatecluster", "updateproxy")))
        pair = pair.swapped()


def test_a_dead_node_is_added_once(estate: Pair) -> None:
    """git-annex adds it again and again."""
    _add("n1", "n2")(estate)
    _set(n1="cluster-node pool", n2="cluster-node pool")(estate)
    estate.alike("gw", "updatecluster")
    uuid = estate.repos("n1")[0].uuid
    estate.annex("gw", "dead", uuid)
    first, second = estate.repos("gw")
    assert "Added node n1" in admin(first, THEIRS, "updatecluster").out
    done = admin(second, OURS, "updatecluster")
    assert done.out.splitlines() == [
        "No cluster node changes for cluster: pool",
        "No proxy changes to record.",
    ]
    assert left(first) == left(second)


def _masked(repo: Repo) -> list[str]:
    """What is left, with one word for the uuid of every cluster."""
    logs, config = left(repo)
    lines = [*config, *(line for log in logs.values() for line in log.values())]
    return sorted(_CLUSTER.sub("CLUSTER", line) for line in lines)


def test_a_cluster_is_made_alike(world: World, current: Client, place: Path) -> None:
    Repo.create(world, current, place / "one" / "gw", bare=True)
    first, second = doubled(world, current, place).repos("gw")
    for words in (["pool"], ["z-1", "two  words\nand more"], ["empty", ""], ["pool"]):
        done = [
            said(admin(repo, program, "initcluster", *words))
            for repo, program in zip((first, second), (THEIRS, OURS), strict=True)
        ]
        assert done[0] == done[1]
        assert _masked(first) == _masked(second)
    uuids = second.git("config", "--get-regexp", r"annex\.cluster\.").out.split()[1::2]
    assert all(_CLUSTER.fullmatch(uuid) for uuid in uuids) and len(set(uuids)) == 3


@pytest.fixture
def gateways(
    world: World, current: Client, openssh: SshServer, place: Path
) -> Iterator[Pair]:
    """Two gateways that reach each other over ssh; the first has a cluster with a node."""
    top = place / "one"
    for name in ("g1", "g2", "n1", "n2"):
        Repo.create(world, current, top / name, bare=True)
    for gateway, node in (("g1", "n1"), ("g2", "n2")):
        repo = Repo(world, current, top / gateway)
        repo.git("remote", "add", node, f"../{node}")
        repo.git("config", f"remote.{node}.annex-cluster-node", "pool")
    first = Repo(world, current, top / "g1")
    first.annex("initcluster", "pool")
    first.annex("updatecluster")
    pair = doubled(world, current, place)
    for gateway, other in (("g1", "g2"), ("g2", "g1")):
        for repo, at in zip(pair.repos(gateway), pair.places, strict=True):
            repo.git("remote", "add", other, openssh.url("ours", at / other))
    yield pair


def _without_urls(config: list[str], place: Path) -> list[str]:
    return [line.replace(str(place), "PLACE") for line in config]


def _fetch(pair: Pair, gateway: str, other: str) -> None:
    pair.git(gateway, "fetch", "--quiet", other)


def test_a_second_gateway_joins_alike(gateways: Pair) -> None:
    turns = cycle([gateways, gateways.swapped()])
    for gateway, other in (("g2", "g1"), ("g1", "g2")):
        pair = next(turns)
        _fetch(pair, gateway, other)
        first, second = pair.repos(gateway)
        theirs = admin(first, THEIRS, "extendcluster", other, "pool")
        ours = admin(second, OURS, "extendcluster", other, "pool")
        assert said(theirs) == said(ours)
        found = [left(repo) for repo in (first, second)]
        assert found[0][0] == found[1][0]
        configs = [
            _without_urls(config, place)
            for (_, config), place in zip(found, pair.places, strict=True)
        ]
        assert configs[0] == configs[1]
        pair._settled(first, OURS, "extendcluster")
        pair._settled(second, THEIRS, "extendcluster")
    names = {
        entry.partition(":")[2]
        for line in found[1][0]["proxy.log"].values()
        for entry in line.split()[1:]
    }
    assert names == {"n1", "n2", "pool", "g1-n1", "g2-n2"}


def test_joining_what_is_not_offered_is_refused(gateways: Pair) -> None:
    _fetch(gateways, "g2", "g1")
    first, second = gateways.repos("g2")
    for words in (["g1", "none"], ["nobody", "pool"], ["g1", "n1"]):
        theirs = admin(first, THEIRS, "extendcluster", *words, check=False)
        ours = admin(second, OURS, "extendcluster", *words, check=False)
        assert theirs.code == ours.code == 1
        reason = said(theirs)[2][-1] or said(theirs)[2][-2]
        assert reason.removeprefix("git-annex: ").rstrip(".") in ours.err
        assert left(second)[0] == left(first)[0]
