"""Three gateways, each of which reaches both others, over six nodes: nothing loops."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.conftest import SERVER_PROGRAM
from tests.support.audit import lines_of
from tests.support.client import Client, Repo
from tests.support.gateway import Gateway, kill_sessions
from tests.support.session import Session, on_pipes, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("cold")

GATEWAYS = ("a", "b", "c")
#: The client's requests at which a gateway may die, and the parts of the content after
#: which it may.
MOMENTS = ("before PUT", "0", "1", "2", "3", "before VALID", "before GET", "in GET")
PIECES = 4
SEEDS = range(3)
REQUESTS = ("PUT", "GET", "REMOVE", "REMOVE-BEFORE")


@dataclass(frozen=True)
class Ring:
    """The gateways by name; every node keeps an audit log of what reached it."""

    gateways: dict[str, Gateway]
    server: SshServer

    @property
    def nodes(self) -> dict[str, Repo]:
        return {
            name: node
            for at in self.gateways.values()
            for name, node in at.nodes.items()
        }

    @property
    def uuid(self) -> str:
        return self.gateways["a"].cluster()

    def open(self, world: World, program: str) -> Session:
        """A session with the cluster, by the first of the gateways."""
        return on_pipes(world, program, self.gateways["a"].repo, self.uuid)

    def arrived(self, key: bytes) -> dict[str, list[str]]:
        """What reached each node about a key, in order."""
        return {
            name: [
                line["request"]
                for line in lines_of(log_of(node))
                if line["key"] == key.decode()
            ]
            for name, node in self.nodes.items()
        }

    def holders(self, key: bytes) -> set[str]:
        held = [at.holders(key.decode()) for at in self.gateways.values()]
        return set().union(*held)

    def logged(self, key: bytes) -> set[str]:
        """The nodes that the client's gateway recorded."""
        names = {node.uuid: name for name, node in self.nodes.items()}
        recorded = self.gateways["a"].repo.whereis(key.decode()) - {self.uuid}
        return {names.get(uuid, uuid) for uuid in recorded}

    def kill(self, name: str) -> None:
        """End all that the gateway does at this moment, as a crash would."""
        kill_sessions(self.server, self.gateways[name].repo)


def log_of(node: Repo) -> Path:
    return node.path.with_name(f"{node.path.name}.jsonl")


@pytest.fixture(scope="module")
def ring(
    world: World, current: Client, openssh: SshServer, places: Callable[[], Path]
) -> Iterator[Ring]:
    place = places()
    gateways: dict[str, Gateway] = {}
    for name in GATEWAYS:
        gateway = Gateway.create(world, current, place / name, bare=True)
        for number in (1, 2):
            node = gateway.add_ssh_node(f"{name}{number}", openssh, "ours")
            node.git("config", "annexshell.auditlog", str(log_of(node)))
        for other, known in gateways.items():
            gateway.extend_cluster(f"gw{other}", known, openssh, "ours")
        gateway.publish_cluster()
        gateways[name] = gateway
    for name, other in (("a", "b"), ("a", "c"), ("b", "c")):
        gateways[name].extend_cluster(f"gw{other}", gateways[other], openssh, "ours")
    for gateway in gateways.values():
        gateway.refresh_cluster()
    assert {gateway.cluster() for gateway in gateways.values()} == {
        gateways["a"].cluster()
    }
    yield Ring(gateways, openssh)
    for gateway in gateways.values():
        gateway.fsck(given_up="-s")


@pytest.mark.parametrize("version", [4, 1, 0])
def test_every_message_arrives_everywhere_once(
    world: World, program: str, ring: Ring, version: int
) -> None:
    """Also those of old clients, who know nothing of BYPASS (01 §16.4)."""
    if version < 2 and SERVER_PROGRAM == "git-annex-shell":
        pytest.fail("its gateways would call each other without end")
    content = random.Random(version).randbytes(50_000)
    key = sha256_key(content)
    with ring.open(world, program) as session:
        if version:
            session.greet(version)
        else:
            assert session.hear() == b"AUTH-SUCCESS " + ring.uuid.encode()
        assert put(session, key, content, version).startswith(b"SUCCESS")
        assert ring.holders(key) == ring.logged(key) == set(ring.nodes)
        assert ring.arrived(key) == dict.fromkeys(ring.nodes, ["PUT"])
        assert put(session, key, content, version).startswith(b"ALREADY-HAVE")
        twice = dict.fromkeys(ring.nodes, ["PUT"] * 2)
        assert ring.arrived(key) == twice
        assert session.ask(b"REMOVE " + key).startswith(b"SUCCESS"), session.stderr
        assert ring.holders(key) == ring.logged(key) == set()
        assert ring.arrived(key) == dict.fromkeys(ring.nodes, ["PUT", "PUT", "REMOVE"])
        assert session.end().code == 0


def put(session: Session, key: bytes, content: bytes, version: int) -> bytes:
    offer = session.ask(b"PUT f " + key)
    if offer.startswith(b"PUT-FROM "):
        assert offer == b"PUT-FROM 0"
        session.write(b"DATA %d\n%s" % (len(content), content))
        return session.ask(b"VALID") if version else session.hear()
    return offer


def test_a_removal_in_time_reaches_all(world: World, program: str, ring: Ring) -> None:
    """The time limit passes each gateway's own clock (spec 01 §8.6)."""
    content = b"to be removed in time\n" * 1000
    key = sha256_key(content)
    with ring.open(world, program) as session:
        session.greet()
        assert session.put(key, content).startswith(b"SUCCESS-PLUS ")
        now = int(session.ask(b"GETTIMESTAMP").split()[1])
        late = session.ask(b"REMOVE-BEFORE %d %b" % (now - 1, key))
        assert late.split()[0] in (b"FAILURE", b"ERROR"), late
        assert ring.holders(key) == set(ring.nodes)
        answer = session.ask(b"REMOVE-BEFORE %d %b" % (now + 600, key))
        assert answer.startswith(b"SUCCESS-PLUS "), (answer, session.stderr)
        assert ring.holders(key) == ring.logged(key) == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gateway_dies_at_some_moment(
    world: World, program: str, ring: Ring, seed: int
) -> None:
    """The client is served, what it is told is true, and the next session has all."""
    chance = random.Random(seed)
    victim, moment = chance.choice("bc"), chance.choice(MOMENTS)
    content = chance.randbytes(2_000_000)
    key = sha256_key(content)

    def now(which: str) -> None:
        if which == moment:
            ring.kill(victim)

    survivors = {name for name in ring.nodes if name[0] != victim}
    with ring.open(world, program) as session:
        session.greet()
        assert session.ask(b"CHECKPRESENT " + key) == b"FAILURE"
        now("before PUT")
        answer = _put_in_pieces(session, key, content, now)
        assert answer.startswith(b"SUCCESS-PLUS "), (victim, moment, session.stderr)
        told = {uuid.decode() for uuid in answer.split()[1:]}
        said = {name for name, node in ring.nodes.items() if node.uuid in told}
        assert survivors <= said <= ring.holders(key)
        assert ring.logged(key) == said and len(told) == len(said)
        now("before GET")
        _get_in_pieces(session, key, content, now)
    with ring.open(world, program) as session:
        session.greet()
        assert session.put(key, content).split()[0] in (
            b"SUCCESS-PLUS",
            b"ALREADY-HAVE-PLUS",
        ), session.stderr
        assert ring.holders(key) == ring.logged(key) == set(ring.nodes)
        assert session.ask(b"REMOVE " + key).startswith(b"SUCCESS"), session.stderr
        assert session.end().code == 0
    assert ring.holders(key) == ring.logged(key) == set()


def _put_in_pieces(
    session: Session, key: bytes, content: bytes, now: Callable[[str], None]
) -> bytes:
    offer = session.ask(b"PUT f " + key)
    assert offer == b"PUT-FROM 0", (offer, session.stderr)
    session.say(b"DATA %d" % len(content))
    size = len(content) // PIECES
    for number in range(PIECES):
        now(str(number))
        session.write(content[number * size : (number + 1) * size])
    now("before VALID")
    return session.ask(b"VALID")


def _get_in_pieces(
    session: Session, key: bytes, content: bytes, now: Callable[[str], None]
) -> None:
    assert session.ask(b"GET 0 f " + key) == b"DATA %d" % len(content), session.stderr
    got = session.take(1000)
    now("in GET")
    got += session.take(len(content) - 1000)
    assert got == content
    assert session.hear() in (b"VALID", b"INVALID")  # INVALID: verify it yourself
    session.say(b"SUCCESS")


@pytest.mark.parametrize("seed", range(2))
def test_the_clients_own_gateway_dies(
    world: World, program: str, ring: Ring, seed: int
) -> None:
    """What nodes hold in part is continued; nothing is recorded that is not there."""
    chance = random.Random(100 + seed)
    content = chance.randbytes(2_000_000)
    key = sha256_key(content)
    with ring.open(world, program) as session:
        session.greet()
        assert session.ask(b"PUT f " + key) == b"PUT-FROM 0"
        session.say(b"DATA %d" % len(content))
        session.write(content[: chance.randrange(len(content))])
        session.process.kill()
        session.process.wait()
    with ring.open(world, program) as session:
        session.greet()
        assert ring.logged(key) <= ring.holders(key)
        answer = session.put(key, content)
        assert answer.startswith(b"SUCCESS-PLUS "), (answer, session.stderr)
        assert ring.holders(key) == ring.logged(key) == set(ring.nodes)
        assert session.ask(b"REMOVE " + key).startswith(b"SUCCESS"), session.stderr
