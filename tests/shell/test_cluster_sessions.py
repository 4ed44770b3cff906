"""A session with a cluster, of the program itself, over nodes by path (spec 01 §8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.model.key import Key
from annexshell.repository.branch import Branch
from annexshell.repository.open import open_repository
from tests.support.audit import lines_of
from tests.support.by_path import CLUSTER, N1, N2, make_gateway
from tests.support.session import CLIENT_UUID, Session, sha256_key
from tests.support.shell import UUID_HERE, environment, shell_argv, write_identity

pytestmark = pytest.mark.usefixtures("both_ways")

NODES = {"n1": N1, "n2": N2, "self": UUID_HERE}
CONTENT = b"hello world"
KEY = sha256_key(CONTENT)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The gateway ``gw``, which is a node of its cluster, and two more."""
    made = tmp_path.resolve()
    write_identity(made)
    make_gateway(made, NODES, **{"annexshell.auditlog": str(made / "log")})
    return made


def started(home: Path, **env: str) -> Session:
    words = f"git-annex-shell p2pstdio gw {CLIENT_UUID} --uuid {CLUSTER}"
    session = Session(shell_argv("-c", words), cwd=home, env=environment(home, **env))
    assert session.greet() == CLUSTER.encode()
    return session


def nodes_in(answer: bytes) -> list[str]:
    return sorted(uuid.decode() for uuid in answer.split()[1:])


def holders(home: Path) -> set[str]:
    branch = Branch(open_repository(str(home / "gw")))
    found = {uuid.decode() for uuid in branch.locations(Key.parse(KEY))}
    return found - {CLUSTER}


def test_all_nodes_and_the_gateway_itself(home: Path) -> None:
    everywhere = sorted(NODES.values())
    with started(home) as session:
        assert nodes_in(session.put(KEY, CONTENT)) == everywhere
        assert holders(home) == set(everywhere)
        assert session.get(KEY) == (CONTENT, b"VALID")
        assert nodes_in(session.ask(b"REMOVE " + KEY)) == everywhere
        assert holders(home) == set()
        ended = session.end()
    assert (ended.code, ended.err) == (0, "")
    put, get, removed = lines_of(home / "log")
    assert put["nodes"] == dict.fromkeys(everywhere, "stored")
    assert get["source"] in {str(home / name) for name in ("n1", "n2", "gw")}
    assert "nodes" not in get
    assert removed["nodes"] == dict.fromkeys(everywhere, "removed")
    for name in ("n1", "n2", "gw"):
        assert not list((home / name / "annex/journal").glob("*.log")), name


def test_a_node_that_is_not_there_stops_nobody(home: Path) -> None:
    (home / "n2").rename(home / "gone")
    reached = sorted(uuid for name, uuid in NODES.items() if name != "n2")
    with started(home) as session:
        assert nodes_in(session.put(KEY, CONTENT)) == reached
        assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"
        answer = session.ask(b"REMOVE " + KEY)
        assert answer.startswith(b"FAILURE-PLUS ") and nodes_in(answer) == reached
        ended = session.end()
    assert ended.code == 0 and "cannot connect to n2" in ended.err


def test_a_client_that_asks_all_nodes_itself(home: Path) -> None:
    """Nobody is left to store it, which must not look as if it were stored."""
    with started(home) as session:
        session.say(b" ".join((b"BYPASS", *(u.encode() for u in NODES.values()))))
        assert session.ask(b"PUT f " + KEY).startswith(
            b"ERROR cluster has no available"
        )
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE"
        assert session.end().code == 0


def test_the_gateways_restrictions_are_not_its_nodes(home: Path) -> None:
    with started(home, GIT_ANNEX_SHELL_DIRECTORY=str(home / "gw")) as session:
        assert nodes_in(session.put(KEY, CONTENT)) == sorted(NODES.values())
        assert session.end().code == 0
    with started(home, GIT_ANNEX_SHELL_READONLY="1") as session:
        assert session.get(KEY) == (CONTENT, b"VALID")
        assert session.ask(b"REMOVE " + KEY).startswith(
            b"ERROR this repository is read"
        )
        assert session.end().code == 0
    assert holders(home) == set(NODES.values())
