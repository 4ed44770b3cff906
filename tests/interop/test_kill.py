"""kill -9 of our process at random moments of PUT and REMOVE.

What was acknowledged is there (or gone), nothing partial is taken for content, and the
next session works at once. The moments come from a seed, so a failure can be repeated.
"""

from __future__ import annotations

import random
import time

import pytest

from tests.support.client import Client, Repo
from tests.support.gateway import Gateway
from tests.support.session import Session, SessionHung, on_pipes, sha256_key
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("cold")

SIZE = 3_000_017
#: How many kills for each seed.
KILLS = 8


@pytest.fixture(params=["direct", "proxied"])
def target(request: pytest.FixtureRequest, gateway: Gateway) -> tuple[Repo, str, Repo]:
    """The repository asked, the uuid asked for, and the repository that gets the content."""
    node = gateway.add_path_node("node")
    gateway.publish()
    asked = node if request.param == "direct" else gateway.repo
    return asked, node.uuid, node


def killed(session: Session, moment: float) -> bytes:
    """Kill the program ``moment`` seconds from now; what it answered until then."""
    answer = b""
    try:
        answer = session.hear(moment)
    except SessionHung:
        pass  # it was still at work: that is the moment wanted
    session.process.kill()
    session.process.wait()
    return answer or session.hear()


def put_and_kill(session: Session, content: bytes, dice: random.Random) -> bytes:
    """PUT, killed while sending or while the end is being put in place."""
    session.greet()
    offer = session.ask(b"PUT f " + sha256_key(content))
    assert offer.startswith(b"PUT-FROM "), (offer, session.stderr)
    rest = content[int(offer.split()[1]) :]
    session.write(b"DATA %d\n" % len(rest))
    if dice.random() < 0.4:
        session.write(rest[: dice.randrange(len(rest))])
        return killed(session, 0)
    session.write(rest + b"VALID\n")
    return killed(session, dice.uniform(0, 0.03))


def object_is_whole_or_absent(node: Repo, key: bytes, content: bytes) -> bool:
    """Whether the content is there; partial or wrong content fails."""
    if not node.has(key.decode()):
        return False
    assert node.object(key.decode()).read_bytes() == content
    return True


@pytest.mark.parametrize("seed", [1, 2])
def test_put(
    world: World, program: str, target: tuple[Repo, str, Repo], seed: int
) -> None:
    asked, uuid, node = target
    dice = random.Random(seed)
    for _ in range(KILLS):
        content = dice.randbytes(SIZE)
        key = sha256_key(content)
        with on_pipes(world, program, asked, uuid) as session:
            answer = put_and_kill(session, content, dice)
        assert answer in (b"", b"SUCCESS")
        there = object_is_whole_or_absent(node, key, content)
        assert there or answer != b"SUCCESS", "an acknowledged object is lost"
        with on_pipes(world, program, asked, uuid) as session:
            session.greet()
            present = session.ask(b"CHECKPRESENT " + key)
            assert present == (b"SUCCESS" if there else b"FAILURE"), session.stderr
            again = session.put(key, content)
            assert again == (b"ALREADY-HAVE" if there else b"SUCCESS"), session.stderr
            assert session.get(key) == (content, b"VALID")
    node.fsck_content()


def test_put_resumes(
    world: World, program: str, target: tuple[Repo, str, Repo]
) -> None:
    asked, uuid, node = target
    content = random.Random(3).randbytes(SIZE)
    key = sha256_key(content)
    half = SIZE // 2
    with on_pipes(world, program, asked, uuid) as session:
        session.greet()
        assert session.ask(b"PUT f " + key) == b"PUT-FROM 0"
        session.write(b"DATA %d\n" % SIZE + content[:half])
        wait_for_partial(node, half // 2)
        session.process.kill()
    with on_pipes(world, program, asked, uuid) as session:
        session.greet()
        offer = session.ask(b"PUT f " + key)
        offset = int(offer.removeprefix(b"PUT-FROM "))
        assert half // 2 <= offset <= half, session.stderr
        rest = content[offset:]
        session.write(b"DATA %d\n%sVALID\n" % (len(rest), rest))
        assert session.hear() == b"SUCCESS", session.stderr
    assert object_is_whole_or_absent(node, key, content)


def wait_for_partial(node: Repo, size: int) -> None:
    """Until the partial file has so many bytes, by watching it, with a limit."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(
            file.stat().st_size >= size for file in (node.path / "annex/tmp").glob("*")
        ):
            return
    raise AssertionError("nothing of the content reached annex/tmp within a minute")


@pytest.mark.parametrize("seed", [4])
def test_remove(
    world: World, program: str, target: tuple[Repo, str, Repo], seed: int
) -> None:
    asked, uuid, node = target
    dice = random.Random(seed)
    for _ in range(KILLS):
        content = dice.randbytes(1000)
        key = sha256_key(content)
        with on_pipes(world, program, asked, uuid) as session:
            session.greet()
            assert session.put(key, content) == b"SUCCESS", session.stderr
            session.say(b"REMOVE " + key)
            answer = killed(session, dice.uniform(0, 0.01))
        there = object_is_whole_or_absent(node, key, content)
        assert answer in (b"", b"SUCCESS")
        assert not (there and answer == b"SUCCESS"), "an acknowledged removal was none"
        with on_pipes(world, program, asked, uuid) as session:
            session.greet()
            present = session.ask(b"CHECKPRESENT " + key)
            assert present == (b"SUCCESS" if there else b"FAILURE")
            assert session.ask(b"REMOVE " + key) == b"SUCCESS", session.stderr
        assert not node.has(key.decode())


def test_git_annex_works_on_after_a_kill(
    world: World, program: str, current: Client, target: tuple[Repo, str, Repo]
) -> None:
    """Nothing that a person would have to clear away is left for git-annex-shell."""
    asked, uuid, node = target
    content = random.Random(5).randbytes(SIZE)
    key = sha256_key(content)
    with on_pipes(world, program, asked, uuid) as session:
        session.greet()
        session.ask(b"PUT f " + key)
        session.write(b"DATA %d\n" % SIZE + content[: SIZE // 2])
        wait_for_partial(node, 1)
        session.process.kill()
    with on_pipes(world, str(current.shell), node) as theirs:
        theirs.greet()
        assert theirs.put(key, content) == b"SUCCESS", theirs.stderr
        assert theirs.ask(b"REMOVE " + key) == b"SUCCESS", theirs.stderr
