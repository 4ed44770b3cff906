"""Content larger than memory may grow to eight nodes at once, and a node that cannot follow.

``ANNEXSHELL_BIG=1`` takes a gibibyte.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

import tests.support.slow_node
from tests.support.client import Client
from tests.support.gateway import Gateway
from tests.support.session import Session, on_pipes
from tests.support.sshserver import SshServer
from tests.support.world import World, write_program

pytestmark = pytest.mark.usefixtures("cold")

SIZE = 1 << 30 if os.environ.get("ANNEXSHELL_BIG") else 1 << 28
#: What the slow node would need two hours for.
SLOW_SIZE = 1 << 26
MOST = 96 << 20
#: Seconds in which eight nodes must have synced it to one disk.
PATIENCE = 600.0
BLOCK = bytes(range(256)) * 4096


def key_of(size: int) -> bytes:
    digest = hashlib.sha256()
    for _ in range(size // len(BLOCK)):
        digest.update(BLOCK)
    return f"SHA256-s{size}--{digest.hexdigest()}".encode()


def put(session: Session, key: bytes, size: int) -> set[str]:
    """The uuids of those who stored what is sent once."""
    assert session.ask(b"PUT big " + key) == b"PUT-FROM 0", session.stderr
    session.say(b"DATA %d" % size)
    for _ in range(size // len(BLOCK)):
        assert session.write(BLOCK) == len(BLOCK), session.stderr
    session.say(b"VALID")
    word, *uuids = session.hear(PATIENCE).decode().split()
    assert word == "SUCCESS-PLUS", session.stderr
    return set(uuids)


def test_eight_nodes_of_one_upload(
    world: World, program: str, current: Client, openssh: SshServer, place: Path
) -> None:
    """It is read once, all eight store it, and none of it is held."""
    if shutil.disk_usage(place).free < 10 * SIZE:
        pytest.skip(f"less than {10 * SIZE >> 30} GiB free in {place}")
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    for number in range(6):
        gateway.add_path_node(f"path{number}")
    for number in range(2):
        gateway.add_ssh_node(f"ssh{number}", openssh, "ours")
    gateway.publish_cluster()
    key, peaks = key_of(SIZE), {}
    with on_pipes(world, program, gateway.repo, gateway.cluster()) as session:
        session.greet()
        stored = put(session, key, SIZE)
        assert stored == {node.uuid for node in gateway.nodes.values()}, session.stderr
        peaks["PUT"] = session.memory_peak()
        assert session.end().code == 0
    assert gateway.logged(key.decode()) == set(gateway.nodes)
    with on_pipes(world, program, gateway.repo, gateway.cluster()) as session:
        session.greet()
        assert session.ask(b"GET 0 big " + key) == b"DATA %d" % SIZE
        digest = session.swallow(SIZE).hexdigest()
        assert key.endswith(digest.encode()) and session.hear() == b"VALID"
        session.say(b"SUCCESS")
        peaks["GET"] = session.memory_peak()
        answer = session.ask(b"REMOVE " + key)
        assert set(answer.decode().split()) == {"SUCCESS-PLUS", *stored}
        assert session.end().code == 0
    assert gateway.holders(key.decode()) == gateway.logged(key.decode()) == set()
    assert max(peaks.values()) < MOST, peaks


def slow_ssh(world: World, folder: Path, slow: Path, uuid: str) -> str:
    """A PATH in which ssh reaches a node of ours that is as slow as can be."""
    folder.mkdir()
    script = shlex.quote(str(tests.support.slow_node.__file__))
    write_program(
        folder / "ssh",
        f'case "$*" in *"\'{slow}\'"*) exec {sys.executable} {script} {uuid};; '
        f'esac\nexec {world.bin / "ssh"} "$@"',
    )
    return f"{folder}:{world.env(folder)['PATH']}"


def test_a_node_that_cannot_follow_is_left_behind(
    world: World,
    program: str,
    current: Client,
    openssh: SshServer,
    place: Path,
) -> None:
    """It would take hours; the others have it, and that it has not is said."""
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    gateway.add_path_node("path")
    gateway.add_ssh_node("ssh", openssh, "ours")
    slow = gateway.add_ssh_node("slow", openssh, "ours")
    gateway.repo.git("config", "annexshell.slow-node-timeout", "4s")
    gateway.publish_cluster()
    path = slow_ssh(world, place / "bin", slow.path, slow.uuid)
    key = key_of(SLOW_SIZE)
    cluster = gateway.cluster()
    with on_pipes(world, program, gateway.repo, cluster, PATH=path) as session:
        session.greet()
        stored = put(session, key, SLOW_SIZE)
        others = set(gateway.nodes) - {"slow"}
        assert stored == {gateway.nodes[name].uuid for name in others}
        assert "slow" in session.stderr
        assert session.ask(b"CHECKPRESENT " + key) == b"SUCCESS"
        assert session.end().code == 0
    assert gateway.logged(key.decode()) == gateway.holders(key.decode()) == others
