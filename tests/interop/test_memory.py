"""A gibibyte through us is never held: the process stays small, whatever the size."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.support.client import Repo
from tests.support.gateway import Gateway
from tests.support.session import Session, on_pipes
from tests.support.sshserver import SshServer
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("cold")

SIZE = 1 << 30
MOST = 64 << 20
BLOCK = bytes(range(256)) * 4096


def big_key() -> bytes:
    digest = hashlib.sha256()
    for _ in range(SIZE // len(BLOCK)):
        digest.update(BLOCK)
    return f"SHA256-s{SIZE}--{digest.hexdigest()}".encode()


@pytest.fixture(scope="module")
def key() -> bytes:
    return big_key()


@pytest.fixture(params=["direct", "by path", "by ssh"])
def target(
    request: pytest.FixtureRequest, gateway: Gateway, openssh: SshServer, place: Path
) -> tuple[Repo, str]:
    """The repository asked and the uuid asked for."""
    if shutil.disk_usage(place).free < 4 * SIZE:
        pytest.skip(f"less than {4 * SIZE >> 30} GiB free in {place}")
    if request.param == "direct":
        return gateway.repo, gateway.repo.uuid
    if request.param == "by path":
        node = gateway.add_path_node("node")
    else:
        node = gateway.add_ssh_node("node", openssh, "ours")
    gateway.publish()
    return gateway.repo, node.uuid


def put(session: Session, key: bytes) -> None:
    assert session.ask(b"PUT big " + key) == b"PUT-FROM 0"
    session.say(b"DATA %d" % SIZE)
    for _ in range(SIZE // len(BLOCK)):
        session.write(BLOCK)
    session.say(b"VALID")
    assert session.hear() == b"SUCCESS", session.stderr


def get(session: Session, key: bytes) -> None:
    assert session.ask(b"GET 0 big " + key) == b"DATA %d" % SIZE
    digest = session.swallow(SIZE).hexdigest()
    assert key.endswith(digest.encode()) and session.hear() == b"VALID", session.stderr
    session.say(b"SUCCESS")


def test_a_gibibyte_is_never_held(
    world: World, program: str, target: tuple[Repo, str], key: bytes
) -> None:
    asked, uuid = target
    peaks = {}
    for name, transfer in (("PUT", put), ("GET", get)):
        with on_pipes(world, program, asked, uuid) as session:
            session.greet()
            transfer(session, key)
            peaks[name] = session.memory_peak()
            session.end()
    assert max(peaks.values()) < MOST, peaks
