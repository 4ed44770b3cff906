"""Connections to real nodes, over a real sshd, that serve one session after another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.support.client import Client
from tests.support.gateway import Gateway, kill_sessions
from tests.support.process import Word
from tests.support.resident import Resident
from tests.support.session import CLIENT_UUID, Session, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import ROOT, World, write_program

pytestmark = pytest.mark.usefixtures("cold")

CONTENT = b"kept" * 50_000
KEY = sha256_key(CONTENT)
PRESENT = b"CHECKPRESENT " + KEY


@attrs.define
class Kept:
    """A gateway with one node of either kind, and whoever keeps its connections."""

    gateway: Gateway
    server: SshServer
    resident: Resident
    folder: Path

    @contextmanager
    def session(self, uuid: str, **more: str) -> Iterator[Session]:
        """A session with the gateway's ``uuid``; at the end all that it left is kept."""
        repo = self.gateway.repo
        keeper = self.folder / "keeper"
        self.resident.invite(keeper)
        program = ROOT / "tests/support/kept_session.py"
        argv: list[Word] = [sys.executable, program, repo.path, CLIENT_UUID, uuid]
        env = repo.world.env(repo.client.bin, PYTHONPATH=str(ROOT), **more)
        env["PATH"] = f"{self.folder}:{env['PATH']}"
        with Session([*argv, keeper], cwd=repo.world.place, env=env) as session:
            assert session.greet() == uuid.encode()
            yield session
            done = session.end()
        assert done.code == 0 and done.stderr == b"", done
        self.resident.settle()

    def connections(self) -> int:
        """How many were made since this was last asked."""
        log = self.folder / "log"
        count = log.read_text().count("p2pstdio") if log.exists() else 0
        log.write_text("")
        return count


@pytest.fixture
def kept(
    world: World, current: Client, openssh: SshServer, place: Path
) -> Iterator[Kept]:
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    gateway.add_ssh_node("theirs", openssh, "reference")
    gateway.add_ssh_node("ours", openssh, "ours")
    gateway.publish_cluster()
    folder = place / "counting"
    folder.mkdir()
    ssh, log = world.bin / "ssh", folder / "log"
    write_program(folder / "ssh", f'echo "$*" >>{log}\nexec {ssh} "$@"')
    with Resident() as resident:
        yield Kept(gateway, openssh, resident, folder)
    gateway.fsck(given_up="-s")


def test_a_cluster_pays_for_its_connections_once(kept: Kept) -> None:
    cluster = kept.gateway.cluster()
    nodes = kept.gateway.nodes
    both = sorted(node.uuid.encode() for node in nodes.values())
    with kept.session(cluster) as session:
        word, *uuids = session.put(KEY, CONTENT).split()
    assert word == b"SUCCESS-PLUS" and set(both) <= set(uuids)
    assert kept.connections() == 2 and len(kept.resident.pool) == 2
    for _ in range(2):
        with kept.session(cluster) as session:
            assert session.get(KEY) == (CONTENT, b"VALID")
            # All nodes are asked, as they may not be for content.
            assert session.put(KEY, CONTENT).startswith(b"ALREADY-HAVE-PLUS ")
    assert kept.connections() == 0 and len(kept.resident.pool) == 2

    # Another environment may be let in elsewhere, or as somebody else.
    with kept.session(cluster, KRB5CCNAME="FILE:/x") as session:
        assert session.ask(PRESENT) == b"SUCCESS"
    assert 1 <= kept.connections() <= 2

    for node in nodes.values():
        assert kill_sessions(kept.server, node) >= 1
    with kept.session(cluster) as session:
        assert session.ask(b"REMOVE " + KEY).startswith(b"SUCCESS-PLUS ")
    assert kept.connections() == 2
    assert kept.gateway.holders(KEY.decode()) == set()


@pytest.mark.parametrize("name", ["theirs", "ours"])
def test_a_proxied_node_is_asked_on(kept: Kept, name: str) -> None:
    node = kept.gateway.nodes[name]
    with kept.session(node.uuid) as session:
        assert session.ask(PRESENT) == b"FAILURE"
    with kept.session(node.uuid) as session:
        assert session.put(KEY, CONTENT) == b"SUCCESS"
        assert session.ask(b"LOCKCONTENT " + KEY) == b"SUCCESS"
        session.say(b"UNLOCKCONTENT")
    with kept.session(node.uuid) as session:
        word, seconds = session.ask(b"GETTIMESTAMP").split()
        later = b"%d" % (int(seconds) + 600)
        assert session.ask(b"REMOVE-BEFORE %s %s" % (later, KEY)) == b"SUCCESS"
    assert kept.connections() == 1

    # What a node does at its end it does then.
    kept.resident.pool.close()
    with kept.session(node.uuid) as session:
        assert session.ask(PRESENT) == b"FAILURE"
    assert kept.connections() == 1


def test_nothing_is_kept_where_that_is_not_wanted(kept: Kept) -> None:
    kept.gateway.repo.git("config", "annexshell.node-idle", "0")
    for _ in range(2):
        with kept.session(kept.gateway.nodes["ours"].uuid) as session:
            assert session.ask(PRESENT) == b"FAILURE"
    assert kept.connections() == 2 and len(kept.resident.pool) == 0
