"""What git-annex-shell gets wrong in a cluster, and the safe outcome here.

Like test_defects.py: each name says the outcome, and docs/defects.md has a row for it. The
tests of what both do well, such as those of older clients, pass with git-annex-shell too.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.conftest import needed_client
from tests.support.broken_disk import FAULTS, Conversation, Disk
from tests.support.client import CLIENTS, Client, Repo
from tests.support.gateway import Gateway, kill_sessions
from tests.support.process import LIMIT, start
from tests.support.session import Session, on_pipes, p2pstdio, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("cold")

NODES = {"path", "ssh", "reference"}
SMALL = b"what the key stands for\n" * 50
#: More than all pipes and windows on the way hold, so that it is never sent in advance.
LARGE = random.Random(8).randbytes(16_000_000)


@dataclass(frozen=True)
class Estate:
    """A gateway with three nodes in a cluster, and a client that knows it."""

    gateway: Gateway
    me: Repo
    server: SshServer

    @property
    def cluster(self) -> str:
        return self.gateway.cluster()

    def session(self, program: str) -> Session:
        repo = self.gateway.repo
        return on_pipes(repo.world, program, repo, self.cluster)

    def agrees(self, key: bytes, names: set[str]) -> None:
        """These nodes hold a key, and the gateway recorded just them."""
        assert self.gateway.holders(key.decode()) == names
        assert self.gateway.logged(key.decode()) == names

    @contextmanager
    def without(self, name: str) -> Iterator[Repo]:
        """A node cannot be reached meanwhile."""
        node = self.gateway.nodes[name]
        away = node.path.with_name("away")
        shutil.move(node.path, away)
        try:
            yield node
        finally:
            shutil.move(away, node.path)


@pytest.fixture(scope="module")
def estate(
    world: World, current: Client, openssh: SshServer, places: Callable[[], Path]
) -> Iterator[Estate]:
    place = places()
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    gateway.add_path_node("path")
    gateway.add_ssh_node("ssh", openssh, "ours")
    gateway.add_ssh_node("reference", openssh, "reference")
    gateway.repo.git("config", "annexshell.node-timeout", "20s")
    gateway.publish_cluster()
    me = gateway.repo.clone(openssh.url("ours", gateway.repo.path), place / "me")
    yield Estate(gateway, me, openssh)
    gateway.fsck(given_up="-s")


@pytest.fixture
def cheapest(estate: Estate, request: pytest.FixtureRequest) -> Iterator[str]:
    """The node that is asked before the others."""
    name = str(request.param)
    cost = f"remote.{name}.annex-cost"
    estate.gateway.repo.git("config", cost, "10")
    yield name
    estate.gateway.repo.git("config", "--unset", cost)


def stored_on(estate: Estate, answer: bytes) -> set[str]:
    """The nodes that a SUCCESS-PLUS names."""
    word, *uuids = answer.decode().split()
    assert word == "SUCCESS-PLUS", answer
    names = {node.uuid: name for name, node in estate.gateway.nodes.items()}
    return {names[uuid] for uuid in uuids}


def fresh(size: int = 2000) -> tuple[bytes, bytes]:
    """Content that no other test has, and its key."""
    content = os.urandom(size)
    return sha256_key(content), content


# -- nodes that die ----------------------------------------------------------------------


@pytest.mark.parametrize("cheapest", ["ssh", "reference"], indirect=True)
def test_a_node_that_dies_in_the_middle_of_a_get(
    estate: Estate, program: str, cheapest: str
) -> None:
    """01 §8.7: the client's connection ends; here another node goes on."""
    key = sha256_key(LARGE)
    with estate.session(program) as session:
        session.greet()
        assert session.put(key, LARGE).split()[0] in (
            b"SUCCESS-PLUS",
            b"ALREADY-HAVE-PLUS",
        )
        assert session.ask(b"GET 5 f " + key) == b"DATA %d" % (len(LARGE) - 5)
        got = session.take(1000)
        assert kill_sessions(estate.server, estate.gateway.nodes[cheapest])
        got += session.take(len(LARGE) - 5 - len(got))
        assert got == LARGE[5:], session.stderr
        assert session.hear() == b"INVALID"  # which asks the client to verify it
        session.say(b"SUCCESS")
        assert session.ask(b"CHECKPRESENT " + key) == b"SUCCESS"
        assert cheapest in session.stderr
        assert session.end().code == 0
    estate.agrees(key, NODES)


@pytest.mark.parametrize("cheapest", ["ssh"], indirect=True)
def test_a_client_does_not_notice_that_a_node_died(
    estate: Estate, cheapest: str
) -> None:
    key = estate.me.add("large", LARGE)
    estate.me.annex("copy", "--to=origin-cluster", "large")
    estate.me.annex("drop", "-N3", "large")
    getting = start(
        ["git", "annex", "get", "--from=origin-cluster", "large"],
        cwd=estate.me.path,
        env=estate.me.env,
    )
    temporary = estate.me.path / ".git/annex/tmp" / key
    deadline = time.monotonic() + LIMIT
    while (
        not (temporary.exists() and temporary.stat().st_size) and getting.poll() is None
    ):
        assert time.monotonic() < deadline
        os.sched_yield()
    getting.send_signal(signal.SIGSTOP)
    kill_sessions(estate.server, estate.gateway.nodes[cheapest])
    getting.send_signal(signal.SIGCONT)
    told = getting.communicate(timeout=LIMIT)
    assert getting.returncode == 0, told
    assert (estate.me.path / "large").read_bytes() == LARGE
    estate.me.annex("drop", "--from=origin-cluster", "large")


@pytest.mark.parametrize("dying", ["ssh", "reference"])
def test_a_node_that_dies_in_the_middle_of_a_put(
    estate: Estate, program: str, dying: str
) -> None:
    """The others have it, and the client is told of those alone."""
    key, content = fresh(len(LARGE))
    half = len(content) // 2
    with estate.session(program) as session:
        session.greet()
        assert session.ask(b"PUT f " + key) == b"PUT-FROM 0"
        session.write(b"DATA %d\n" % len(content) + content[:half])
        assert kill_sessions(estate.server, estate.gateway.nodes[dying])
        session.write(content[half:])
        answer = session.ask(b"VALID")
        assert stored_on(estate, answer) == NODES - {dying}, session.stderr
        assert dying in session.stderr
        estate.agrees(key, NODES - {dying})
        # It is back, and goes on where it was.
        answer = session.put(key, content)
        assert stored_on(estate, answer) >= {dying}, session.stderr
        estate.agrees(key, NODES)
        assert session.ask(b"REMOVE " + key).startswith(b"SUCCESS-PLUS ")
        assert session.end().code == 0
    estate.agrees(key, set())


# -- nodes that cannot be reached ------------------------------------------------------------


@pytest.mark.parametrize("missing", ["path", "ssh"])
def test_an_unreachable_node_hinders_nobody(
    estate: Estate, missing: str, place: Path
) -> None:
    """01 §16.6: one such node disables PUT and GET; a drop fails without a reason."""
    file = f"without-{missing}"
    key = estate.me.add(file, file.encode() * 1000).encode()
    whole = estate.me.add(f"{file}-whole", file.encode() * 2000).encode()
    estate.me.annex("copy", "--to=origin-cluster", f"{file}-whole")
    with estate.without(missing):
        told = estate.me.annex("copy", "--to=origin-cluster", file)
        assert missing in told.err, told
        estate.me.annex("drop", file, f"{file}-whole", "-N2")
        for name in (file, f"{file}-whole"):
            estate.me.annex("get", "--from=origin-cluster", name)
            estate.me.annex("fsck", "--fast", "--from=origin-cluster", name)
        dropped = estate.me.annex(
            *("drop", "--from=origin-cluster", f"{file}-whole"), check=False
        )
        assert dropped.code != 0 and missing in dropped.all, dropped
    estate.agrees(key, NODES - {missing})
    estate.agrees(whole, {missing})
    node = estate.gateway.nodes[missing].uuid
    assert estate.me.whereis(whole.decode()) >= {node, estate.me.uuid}
    estate.me.annex("drop", "--from=origin-cluster", file, f"{file}-whole")
    estate.agrees(whole, set())


def test_a_cluster_whose_nodes_are_all_missing_stores_nothing(
    world: World, current: Client, openssh: SshServer, place: Path
) -> None:
    """01 §16.1: it must not say that it has something: `move` drops the last copy."""
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    node = gateway.add_path_node("node")
    gateway.publish_cluster()
    me = gateway.repo.clone(openssh.url("ours", gateway.repo.path), place / "me")
    key = me.add("last", SMALL)
    shutil.move(node.path, place / "away")
    moved = me.annex("move", "--to=origin-cluster", "last", check=False)
    assert moved.code != 0 and me.has(key), moved
    shutil.move(place / "away", node.path)
    # Somebody who may push has declared the node dead: then the cluster has none.
    me.annex("dead", node.uuid)
    me.annex("sync", "--no-content", "origin")
    moved = me.annex("move", "--to=origin-cluster", "last", check=False)
    assert moved.code != 0 and me.has(key), moved
    me.annex("semitrust", node.uuid)
    me.annex("sync", "--no-content", "origin")
    me.annex("move", "--to=origin-cluster", "last")
    assert gateway.holders(key) == {"node"}


def test_nodes_that_are_all_bypassed_store_nothing(
    estate: Estate, program: str
) -> None:
    """01 §8.4: a client that names every repository is not told ALREADY-HAVE."""
    key, content = fresh()
    uuids = [node.uuid.encode() for node in estate.gateway.nodes.values()]
    with estate.session(program) as session:
        session.greet()
        session.say(b"BYPASS " + b" ".join(uuids))
        answer = session.put(key, content)
        if answer.startswith(b"SUCCESS-PLUS "):
            estate.agrees(key, stored_on(estate, answer))
        else:
            assert answer.startswith(b"ERROR "), answer
            estate.agrees(key, set())


# -- nodes with other troubles -----------------------------------------------------------------


def test_a_full_disk_of_one_node(world: World, current: Client, place: Path) -> None:
    """The others store it, and the one that could not is named."""
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    full = gateway.add_path_node("full")
    gateway.add_path_node("good")
    gateway.publish_cluster()
    (fault,) = [fault for fault in FAULTS if fault.name == "disk full"]
    for step in (0, 3, 6):
        key, content = fresh()
        words = ["-c", p2pstdio(gateway.repo.path, gateway.cluster())]
        talk = Conversation(words, Disk(str(full.path), fault, step))
        assert talk.hear().startswith(b"AUTH-SUCCESS ")
        assert talk.ask(b"VERSION 4") == b"VERSION 4"
        assert talk.ask(b"PUT f " + key) == b"PUT-FROM 0"
        talk.say(b"DATA %d\n%sVALID\n" % (len(content), content))
        answer = talk.hear()
        uuid = gateway.nodes["good"].uuid.encode()
        assert answer == b"SUCCESS-PLUS " + uuid
        code, said, reached = talk.end()
        assert code == 0 and reached and "full" in said, said
        assert gateway.holders(key.decode()) == {"good"}
        assert gateway.logged(key.decode()) == {"good"}


@pytest.mark.parametrize("cheapest", ["path"], indirect=True)
def test_wrong_bytes_on_one_node(estate: Estate, program: str, cheapest: str) -> None:
    """The client finds out, says so, and gets the right ones from another node."""
    key = estate.me.add("spoilt", SMALL)
    estate.me.annex("copy", "--to=origin-cluster", "spoilt")
    estate.me.annex("drop", "spoilt", "-N3")
    node = estate.gateway.nodes[cheapest]
    stored = node.object(key)
    stored.chmod(0o644)
    stored.write_bytes(b"X" * len(SMALL))
    with estate.session(program) as session:
        session.greet()
        wrong = _get_and_judge(session, key.encode(), b"FAILURE")
        assert wrong == b"X" * len(SMALL)
        assert _get_and_judge(session, key.encode(), b"SUCCESS") == SMALL
    estate.me.annex("get", "spoilt")
    assert (estate.me.path / "spoilt").read_bytes() == SMALL
    stored.write_bytes(SMALL)


def _get_and_judge(session: Session, key: bytes, judgement: bytes) -> bytes:
    answer = session.ask(b"GET 0 f " + key)
    content = session.take(int(answer.removeprefix(b"DATA ")))
    assert session.hear() in (b"VALID", b"INVALID")
    session.say(judgement)
    return content


def test_a_location_log_that_is_wrong(estate: Estate, program: str) -> None:
    """01 §8.3: of the nodes that are listed and have it not, one is believed."""
    key, content = fresh()
    with estate.session(program) as session:
        session.greet()
        assert stored_on(estate, session.put(key, content)) == NODES
    for name in ("path", "ssh"):
        estate.gateway.nodes[name].annex("dropkey", "--force", key.decode())
    for _ in range(4):  # whichever is asked first
        with estate.session(program) as session:
            session.greet()
            assert session.ask(b"CHECKPRESENT " + key) == b"SUCCESS"
            assert session.get(key)[0] == content
    with estate.session(program) as session:
        session.greet()
        stored_on(estate, session.put(key, content))
        session.put(key, content)
        assert session.end().code == 0
    estate.agrees(key, NODES)


def test_a_removal_in_time_is_never_weakened_for_an_old_node(
    world: World, current: Client, openssh: SshServer, program: str, place: Path
) -> None:
    """01 §16.8: a node that knows no time limit is sent a plain REMOVE."""
    needed_client(CLIENTS[-1], world)
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    gateway.add_path_node("path")
    old = gateway.add_ssh_node("old", openssh, "reference2023")
    gateway.publish_cluster()
    key, content = fresh()
    with on_pipes(world, program, gateway.repo, gateway.cluster()) as session:
        session.greet()
        assert session.put(key, content).startswith(b"SUCCESS-PLUS "), session.stderr
        now = int(session.ask(b"GETTIMESTAMP").removeprefix(b"TIMESTAMP "))
        answer = session.ask(b"REMOVE-BEFORE %d %b" % (now + 600, key))
        path = gateway.nodes["path"].uuid.encode()
        assert answer == b"FAILURE-PLUS " + path, (answer, session.stderr)
        assert old.has(key.decode()) and "old" in session.stderr
        assert gateway.logged(key.decode()) == gateway.holders(key.decode()) == {"old"}
        assert session.ask(b"REMOVE " + key).startswith(b"SUCCESS"), session.stderr
        assert session.end().code == 0
    assert gateway.holders(key.decode()) == set()


def test_the_gateway_is_itself_a_node(
    world: World, current: Client, openssh: SshServer, place: Path
) -> None:
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    gateway.add_path_node("path")
    gateway.add_itself("itself", openssh, "ours")
    gateway.publish_cluster()
    me = gateway.repo.clone(openssh.url("ours", gateway.repo.path), place / "me")
    key = me.add("file", SMALL)
    me.annex("copy", "--to=origin-cluster", "file")
    assert gateway.holders(key) == gateway.logged(key) == {"path", "itself"}
    me.annex("drop", "-N2", "file")
    me.annex("get", "--from=origin-cluster", "file")
    me.annex("drop", "--from=origin-cluster", "file")
    assert gateway.holders(key) == gateway.logged(key) == set()
    me.annex("move", "--to=origin", "file")
    assert gateway.holders(key) == gateway.logged(key) == {"itself"}
    me.annex("move", "--from=origin-cluster", "file")
    gateway.fsck(given_up="-s")


# -- clients and keys of every kind --------------------------------------------------------------


@pytest.mark.parametrize("version", CLIENTS[1:])
def test_an_older_client(
    estate: Estate, world: World, version: str, place: Path
) -> None:
    """One that knows no clusters takes it for a repository like any other."""
    client = needed_client(version, world)
    url = estate.server.url("ours", estate.gateway.repo.path)
    me = estate.gateway.repo.clone(url, place / "me", client)
    remote = "origin-cluster"
    if not client.knows_proxies:
        remote = "cluster"
        me.git("remote", "add", remote, url)
        me.git("config", f"remote.{remote}.annex-uuid", estate.cluster)
    content = f"what {version} stores\n".encode() * 1000
    key = me.add("file", content)
    me.annex("copy", f"--to={remote}", "file")
    estate.agrees(key.encode(), NODES)
    me.annex("drop", "file")
    me.annex("get", f"--from={remote}", "file")
    assert (me.path / "file").read_bytes() == content
    me.annex("drop", f"--from={remote}", "file")
    estate.agrees(key.encode(), set())
    me.annex("move", f"--to={remote}", "file")
    me.annex("move", f"--from={remote}", "file")
    assert me.has(key)
    estate.agrees(key.encode(), set())


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_an_older_protocol(estate: Estate, program: str, version: int) -> None:
    """No answer is of a newer version than what was agreed on."""
    key, content = fresh()
    with estate.session(program) as session:
        if version:
            session.greet(version)
        else:
            session.hear()
        assert session.ask(b"PUT f " + key) == b"PUT-FROM 0"
        verdict = b"VALID\n" if version else b""
        session.write(b"DATA %d\n%s%s" % (len(content), content, verdict))
        word = b"SUCCESS-PLUS" if version > 1 else b"SUCCESS"
        assert session.hear().split(b" ")[0] == word, session.stderr
        estate.agrees(key, NODES)
        assert session.ask(b"GET 0 f " + key) == b"DATA %d" % len(content)
        assert session.take(len(content)) == content
        if version:
            assert session.hear() == b"VALID"
        session.say(b"SUCCESS")
        assert session.ask(b"REMOVE " + key).split(b" ")[0] == word
        estate.agrees(key, set())


def test_restricted_keys(estate: Estate, place: Path) -> None:
    """The restriction holds for the cluster as it does for the repository."""
    key = estate.me.add("restricted", b"restricted\n" * 1000)
    estate.me.annex("copy", "--to=origin-cluster", "restricted")
    path = estate.gateway.repo.path
    for account in ("readonly", "appendonly"):
        estate.me.git("remote", "add", account, estate.server.url(account, path))
        estate.me.git("fetch", "--quiet", account)
    estate.me.annex("drop", "-N3", "restricted")
    estate.me.annex("get", "--from=readonly-cluster", "restricted")
    other = estate.me.add("more", b"more\n" * 1000)
    stored = estate.me.annex("copy", "--to=readonly-cluster", "more", check=False)
    assert stored.code != 0 and not estate.gateway.holders(other), stored
    estate.me.annex("copy", "--to=appendonly-cluster", "more")
    assert estate.gateway.holders(other) == NODES
    for account in ("readonly", "appendonly"):
        drop = ("drop", f"--from={account}-cluster", "restricted", "more")
        refused = estate.me.annex(*drop, check=False)
        assert refused.code != 0 and "denied" in refused.all, refused
        assert estate.gateway.holders(key) == estate.gateway.holders(other) == NODES
    estate.me.annex("drop", "--from=origin-cluster", "restricted", "more")


@pytest.mark.parametrize("text", [b"caf\xc3\xa9\xff", b"a name", b"100% of it"])
def test_any_bytes_in_keys_and_names(estate: Estate, program: str, text: bytes) -> None:
    """01 §16.9: bytes beyond ASCII are encoded twice on their way to the nodes."""
    key = b"WORM-s5-m1--" + text
    with estate.session(program) as session:
        session.greet()
        answer = session.put(key, b"12345", b"gr\xc3\xbcn/\xff%%")
        assert stored_on(estate, answer) == NODES, session.stderr
        assert session.get(key) == (b"12345", b"VALID")
        for node in estate.gateway.nodes.values():
            held = [os.fsencode(p.name) for p in node.path.glob("annex/objects/*/*/*")]
            assert key.replace(b"%", b"&s") in held
        assert session.ask(b"REMOVE " + key).startswith(b"SUCCESS-PLUS ")
