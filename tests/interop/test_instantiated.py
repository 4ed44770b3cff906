"""Remotes that git-annex makes of what gateways publish, and what it says they cost."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from annexshell.proxy.costs import ask_commands, prices
from annexshell.proxy.instantiated import remotes_of
from annexshell.repository.branch import Branch
from annexshell.serve.proxied import published_by
from tests.support.repositories import Repo, annex_repo

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-annex") is None, reason="git-annex is not in PATH"
    ),
]

Remotes = dict[str, tuple[str, float]]
NODES = ("n2", "n3", "n4")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A repository with the gateway B as a remote, whose host there is not."""
    place = tmp_path_factory.mktemp("world")
    gateway = annex_repo(place / "gateway", bare=True)
    for name in NODES:
        node = annex_repo(place / name, bare=True)
        gateway.git("remote", "add", name, str(node.path))
        gateway.git("config", f"remote.{name}.annex-uuid", node.uuid.decode())
        gateway.git("fetch", "--quiet", name)
    gateway.annex("merge")
    gateway.annex("initcluster", "mine")
    gateway.git("config", "remote.n2.annex-cluster-node", "mine")
    gateway.git("config", "remote.n3.annex-proxy", "true")
    # On the same machine, and never to be used.
    gateway.git("config", "remote.n4.annex-cluster-node", "other")
    gateway.annex("updatecluster")
    repo = annex_repo(place / "client", bare=True)
    repo.git(
        "fetch", "--quiet", str(gateway.path), "git-annex:refs/remotes/B/git-annex"
    )
    repo.annex("merge")
    repo.git("remote", "add", "B", "ssh://none.invalid/srv")
    repo.git("config", "remote.B.annex-uuid", gateway.uuid.decode())
    return repo


def theirs(repo: Repo) -> Remotes:
    """What git-annex says of each remote it can have."""
    found = {}
    for name in ("B", "B-mine", *(f"B-{name}" for name in NODES)):
        told = repo.run("sh", "-c", f"git-annex info {name} 2>&1 || true").decode()
        said = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
        if "cost" in said:
            found[name] = said["uuid"], float(said["cost"])
    return found


def ours(repo: Repo) -> Remotes:
    opened = repo.open()
    known = published_by(Branch(opened))
    remotes = remotes_of(opened.config, known.lines, known.clusters)
    run = partial(ask_commands, cwd=opened.path)
    costs = prices(opened.config, remotes, run)
    pairs = zip(remotes, costs, strict=True)
    return {remote.name: (remote.uuid.decode(), cost) for remote, cost in pairs}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"remote.B.annex-cost": "150.5"},
        {"remote.B.annex-cost": "12 x"},
        {"remote.B.annex-cost": "+5"},
        {"annex.cost": "42"},
        {"remote.B.annex-cost": "33", "remote.B.annex-cost-command": "echo 77; echo 8"},
        {"remote.B.annex-cost": "33", "remote.B.annex-cost-command": "echo junk"},
        {"annex.cost-command": "echo 1e2"},
        {"remote.B.annex-ignore": "true"},
        {"remote.B.url": "host:srv"},
        {"remote.B.url": "/nowhere"},
        {"remote.B-n3.annex-anything": "1"},
        {"remote.B.url": "short:x", "url.ssh://none.invalid/.insteadOf": "short:"},
    ],
    ids=str,
)
def test_the_same_remotes_at_the_same_cost(
    client: Repo, tmp_path: Path, settings: dict[str, str]
) -> None:
    repo = Repo(tmp_path / "client", True, client.home)
    shutil.copytree(client.path, repo.path, symlinks=True)
    for name, value in settings.items():
        repo.git("config", name, value)
    # Of what is in the way of a remote git-annex makes none, and it has no uuid for us.
    assert ours(repo) == theirs(repo)
