"""Hostile and broken input: a clear ERROR or a closed connection, as spec 01 §4.6 says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.gateway import Gateway
from tests.support.session import Session, on_pipes, over_ssh, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import World

CONTENT = b"the one thing that is there"
KEY = sha256_key(CONTENT)
LONGEST = 32767

UNKNOWN = b"ERROR unknown command"
UNEXPECTED = b"ERROR unexpected command"

MALFORMED = (
    *(b"FOO", b"", b" ", b"checkpresent " + KEY, b"CHECKPRESENT", b"CHECKPRESENT bad"),
    *(b"GET 0 " + KEY, b"GET x  " + KEY, b"GET 1e3 f " + KEY, b"GET  f " + KEY),
    *(b"PUT " + KEY, b"PUT /etc/passwd " + KEY, b"CONNECT git-foo", b"CONNECT"),
    *(b"UNLOCKCONTENT " + KEY, b"SUCCESS x", b"DATA x", b"DATA", b"VERSION abc"),
    *(b"GETTIMESTAMP x", b"REMOVE", b"REMOVE-BEFORE x " + KEY, b"LOCKCONTENT"),
    *(b"\x00\x01\x02\xff\xfe", b"CHECKPRESENT SHA256-s5-m\xff--x", b"A" * LONGEST),
    b"PUT f SHA256E-s20--" + b"0" * 64 + b"." + b"a" * 64,
)

OUT_OF_TURN = (
    *(b"SUCCESS", b"FAILURE", b"SUCCESS-PLUS a b", b"VALID", b"INVALID"),
    *(b"UNLOCKCONTENT", b"DATA-PRESENT", b"DATA 3", b"PUT-FROM 0", b"CONNECTDONE 0"),
    *(b"ALREADY-HAVE", b"TIMESTAMP 5", b"AUTH x y", b"AUTH-SUCCESS x", b"AUTH-FAILURE"),
)

#: Keys that look like paths. They are legal, and simply not there.
PATH_KEYS = (
    b"SHA256-s5--../../../../etc/passwd",
    b"WORM-s5-m1--/etc/passwd",
    b"URL--..",
    b"URL--.",
    b"URL--a/../../b",
    b"URL--%2e%2e&s&c",
    b"SHA256-s5--\x01\x02\xff",
)


@dataclass(frozen=True)
class Target:
    """Whom to talk to: the repository asked, and the uuid it should serve."""

    world: World
    program: str
    asked: Repo
    uuid: str

    def session(self, **environment: str) -> Session:
        session = on_pipes(
            self.world, self.program, self.asked, self.uuid, **environment
        )
        session.greet()
        return session


@pytest.fixture(scope="module")
def hostile_gateway(
    world: World, current: Client, places: Callable[[], Path]
) -> Iterator[Gateway]:
    made = Gateway.create(world, current, places() / "gw", bare=True)
    made.add_path_node("node")
    made.publish()
    yield made
    made.fsck(given_up="--")  # that no copy of a made-up key is left is no wonder


@pytest.fixture(scope="module", params=["direct", "proxied"])
def target(
    request: pytest.FixtureRequest, world: World, program: str, hostile_gateway: Gateway
) -> Target:
    node = hostile_gateway.nodes["node"]
    asked = node if request.param == "direct" else hostile_gateway.repo
    chosen = Target(world, program, asked, node.uuid)
    with chosen.session() as session:
        answer = session.put(KEY, CONTENT)
        assert answer in (b"SUCCESS", b"ALREADY-HAVE"), session.stderr
    return chosen


def still_works(session: Session) -> None:
    """The session goes on, and nothing was said about our insides."""
    assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS", session.stderr
    assert "Traceback" not in session.stderr


def closed(session: Session) -> None:
    """The server closed the connection in an orderly way."""
    assert session.hear() == b""
    ended = session.end()
    assert ended.code in (0, 1), ended
    assert "Traceback" not in ended.err


def test_malformed_lines(target: Target) -> None:
    with target.session() as session:
        for line in MALFORMED:
            assert session.ask(line) == UNKNOWN, line
            still_works(session)


def test_messages_out_of_turn(target: Target) -> None:
    with target.session() as session:
        for line in OUT_OF_TURN:
            assert session.ask(line) == UNEXPECTED, line
            still_works(session)


def test_data_that_nobody_asked_for_is_read_as_lines(target: Target) -> None:
    with target.session() as session:
        assert session.ask(b"DATA 4\nFOO") == UNEXPECTED
        assert session.hear() == UNKNOWN
        still_works(session)


@pytest.mark.parametrize("extra", [1, 1 << 26])
def test_lines_without_end_are_refused_early(target: Target, extra: int) -> None:
    """Memory stays bounded: we stop reading soon after the longest line."""
    with target.session() as session:
        sent = session.write(b"A" * (LONGEST + extra))
        assert sent < (4 << 20) or extra == 1
        closed(session)


def test_an_error_from_the_client_ends_the_session(target: Target) -> None:
    with target.session() as session:
        session.say(b"ERROR I am unhappy")
        closed(session)


def test_a_client_may_leave_while_it_waits_for_a_change(target: Target) -> None:
    """git-annex-shell ends the session itself: it notifies nobody over stdio."""
    with target.session() as session:
        session.say(b"NOTIFYCHANGE")
        session.end()
        assert "Traceback" not in session.stderr


@pytest.mark.parametrize("restriction", ["READONLY", "APPENDONLY"])
def test_a_push_through_connect_is_refused(target: Target, restriction: str) -> None:
    setting = {f"GIT_ANNEX_SHELL_{restriction}": "1"}
    with target.session(**setting) as session:
        session.say(b"CONNECT git-receive-pack")
        denied = b"ERROR this repository is read-only; write access denied"
        assert session.hear() == denied
        assert "Traceback" not in session.stderr


@pytest.mark.parametrize("offset", [b"-1", b"-99999999999999999999"])
def test_negative_offsets(target: Target, offset: bytes) -> None:
    with target.session() as session:
        assert session.ask(b"GET %s f %s" % (offset, KEY)).startswith(b"ERROR ")
        still_works(session)


@pytest.mark.parametrize("offset", [len(CONTENT), 1 << 40, 10**40])
def test_offsets_at_and_beyond_the_end(target: Target, offset: int) -> None:
    with target.session() as session:
        assert session.get(KEY, offset) == (b"", b"VALID")
        still_works(session)


@pytest.mark.parametrize("key", PATH_KEYS)
def test_keys_that_look_like_paths(target: Target, key: bytes) -> None:
    with target.session() as session:
        assert session.ask(b"CHECKPRESENT " + key) == b"FAILURE"
        assert session.get(key) == (b"", b"INVALID")
        session.say(b"LOCKCONTENT " + key)
        assert session.hear() == b"FAILURE"
        assert session.ask(b"REMOVE " + key) == b"SUCCESS"
        still_works(session)


def test_content_that_is_not_the_keys_is_refused(target: Target) -> None:
    key = sha256_key(b"another thing")
    with target.session() as session:
        assert session.put(key, b"another thinG") == b"FAILURE"
        assert session.put(key, b"another") == b"FAILURE"
        assert session.put(key, b"another thing and more") == b"FAILURE"
        assert session.ask(b"CHECKPRESENT " + key) == b"FAILURE"
        still_works(session)


def test_an_upload_broken_off_in_order(target: Target) -> None:
    key = sha256_key(b"never sent")
    with target.session() as session:
        assert session.ask(b"PUT f " + key) == b"PUT-FROM 0"
        session.say(b"ERROR changed my mind")
        still_works(session)
        assert session.ask(b"PUT f " + key) == b"PUT-FROM 0"
        assert session.ask(b"CHECKPRESENT " + KEY) == b"ERROR expected DATA"
        still_works(session)
        assert session.ask(b"PUT f " + key) == b"PUT-FROM 0"
        assert session.ask(b"DATA 0\nINVALID") == b"FAILURE"
        still_works(session)


def test_a_flood_of_requests_is_answered_in_order(target: Target) -> None:
    absent = sha256_key(b"absent")
    with target.session() as session:
        session.say(*[b"CHECKPRESENT " + k for k in (KEY, absent) * 500])
        heard = [session.hear() for _ in range(1000)]
        assert heard == [b"SUCCESS", b"FAILURE"] * 500


def test_many_bad_lines_do_not_add_up(target: Target) -> None:
    with target.world.cold(), target.session() as session:
        for _ in range(20):
            session.say(*[b"B" * 30000] * 50)
            assert {session.hear() for _ in range(50)} == {UNKNOWN}
        assert session.memory_peak() < 64 << 20


def test_hostile_input_over_ssh(hostile_gateway: Gateway, server: SshServer) -> None:
    node = hostile_gateway.nodes["node"]
    with over_ssh(server, "ours", node) as session:
        session.greet()
        for line in (b"FOO", b"\x00\xff", b"GET x  " + KEY):
            assert session.ask(line) == UNKNOWN
        assert session.ask(b"DATA 3") == UNEXPECTED
        session.write(b"A" * (LONGEST + 1))
        closed(session)
