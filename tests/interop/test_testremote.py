"""git-annex's own test of a remote, against everything we serve and proxy to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import CLIENTS, HOW, Client, Repo, find_client
from tests.support.gateway import Gateway
from tests.support.process import Result, run
from tests.support.sshserver import SshServer
from tests.support.world import World, write_program

#: The remotes of the client in the estate below, and what serves them.
#:   ours              the gateway's own repository, served by us
#:   ours-path         a node that is a path on the gateway
#:   ours-reference    a node served by git-annex-shell over ssh
#:   ours-ours         a node served by us over ssh
#:   reference-ours    a node served by us behind a gateway served by git-annex-shell
OLDEST = CLIENTS[-1]
REMOTES = ("ours", "ours-path", "ours-reference", "ours-ours", "reference-ours")


@dataclass(frozen=True)
class Estate:
    """A gateway with one node of each kind, and a client that knows all of them."""

    gateway: Gateway
    me: Repo
    server: SshServer


@pytest.fixture(scope="module")
def estate(
    world: World, current: Client, server: SshServer, places: Callable[[], Path]
) -> Iterator[Estate]:
    place = places()
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    gateway.add_path_node("path")
    gateway.add_ssh_node("reference", server, "reference")
    gateway.add_ssh_node("ours", server, "ours")
    if find_client(OLDEST, world):
        gateway.add_ssh_node("old", server, "reference2023")
    gateway.publish()
    path = gateway.repo.path
    me = gateway.repo.clone(server.url("ours", path), place / "me")
    me.git("remote", "rename", "origin", "ours")
    me.git("remote", "add", "reference", server.url("reference", path))
    me.git("fetch", "--quiet", "reference")
    me.add("file", b"what the read-only tests ask for\n")
    me.annex("copy", "--to=ours", "file")
    me.annex("sync", "--no-content", "ours")
    yield Estate(gateway, me, server)
    gateway.fsck(given_up="this-is-a-test-key")
    me.annex("fsck")  # without --all: testremote's own keys are no files


def passed(result: Result, at_least: int) -> None:
    """All tests passed, and there were as many as there must be: none were left out."""
    assert result.code == 0, result
    counts = [
        int(line.split()[1])
        for line in result.out.splitlines()
        if line.startswith("All ") and "tests passed" in line
    ]
    assert sum(counts) >= at_least, result


@pytest.mark.parametrize("remote", REMOTES)
def test_testremote_passes(estate: Estate, remote: str) -> None:
    if estate.server.kind == "openssh":
        passed(estate.me.annex("testremote", remote, check=False), 500)
    else:
        # The same tests, of one key size.
        passed(estate.me.annex("testremote", "--fast", remote, check=False), 100)


def test_testremote_passes_with_a_node_of_2023(
    estate: Estate,
) -> None:
    if "old" not in estate.gateway.nodes:
        pytest.skip(f"git-annex {OLDEST} is not here: {HOW[OLDEST]}")
    passed(estate.me.annex("testremote", "--fast", "ours-old", check=False), 100)


@pytest.mark.parametrize("version", CLIENTS[1:])
def test_testremote_passes_for_older_clients(
    world: World, estate: Estate, version: str, place: Path
) -> None:
    """They speak older versions of the protocol."""
    client = find_client(version, world)
    if client is None:
        pytest.skip(f"git-annex {version} is not here: {HOW[version]}")
    url = estate.server.url("ours", estate.gateway.repo.path)
    me = estate.gateway.repo.clone(url, place / "me", client)
    passed(me.annex("testremote", "--fast", "origin", check=False), 100)


def test_a_read_only_key_passes_ensure_readonly(estate: Estate, place: Path) -> None:
    url = estate.server.url("readonly", estate.gateway.repo.path)
    me = estate.gateway.repo.clone(url, place / "me")
    me.annex("get", "--quiet", "file")
    tested = me.annex("testremote", "origin", "--ensure-readonly=file", check=False)
    passed(tested, 16)


def test_git_annex_test_of_ssh_remotes_passes(
    world: World, current: Client, program: str, place: Path
) -> None:
    """git-annex's own suite runs the git-annex-shell it finds in PATH: it finds us."""
    called = place / "called"
    folder = place / "bin"
    folder.mkdir()
    write_program(
        folder / "git-annex-shell", f'echo "$1" >>{called}\nexec {program} "$@"'
    )
    (folder / "git-annex").symlink_to((current.bin / "git-annex").resolve())
    env = world.env(current.bin)
    env["PATH"] = f"{folder}:{env['PATH']}"
    tested = run(
        ["git-annex", "test", "-p", "ssh remote", "--jobs=2"],
        cwd=place,
        env=env,
        check=False,
    )
    passed(tested, 12)
    assert "p2pstdio" in called.read_text()
