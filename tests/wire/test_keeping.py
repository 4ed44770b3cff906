"""Connections that outlive a session, between a PeerStore and nodes that are programs.

Each node is a shell script that notes every start of it. A session is a KeepingPeer with a
Keeper of its own; one resident process serves all sessions of a test.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from annexshell.errors import PeerFailed, PeerUnreachable
from annexshell.model.ids import UUID
from annexshell.model.payload import Validity
from annexshell.remotes import keeping
from annexshell.remotes.keeping import Keeper, KeepingPeer
from annexshell.remotes.kept import Place
from annexshell.transport.child import ChildLink, open_child
from annexshell.transport.moving import drain
from tests.support.async_tests import trio_test
from tests.support.memory_store import key_of
from tests.support.pair import NODE
from tests.support.resident import Resident

GATEWAY = UUID(b"aaaaaaaa-1111-4111-8111-111111111111")
OTHER = UUID(b"bbbbbbbb-1111-4111-8111-111111111111")
KEY = key_of(b"hello world")

NODE_SCRIPT = """\
cd {top}; echo $$ >>starts; echo "AUTH-SUCCESS {uuid}"; asked=0
while read -r word rest; do
    echo "$word $rest" >>heard
    case $word in
    VERSION) asked=$((asked + 1)); {version} ;;
    BYPASS) ;;
    CHECKPRESENT) echo SUCCESS ;;
    LOCKCONTENT) echo SUCCESS ;;
    UNLOCKCONTENT) ;;
    GET) printf 'DATA 11\\nhello worldVALID\\n' ;;
    PUT) echo PUT-FROM 0 ;;
    *) ;;
    esac
done
"""


@attrs.define
class World:
    """One node, one resident process, and the sessions between them."""

    top: Path
    resident: Resident
    version: str = "echo VERSION 4"
    place: Place = Place("/srv/gw", GATEWAY, NODE, ["ssh", "h"], {}, "/")
    rest: float = 60.0
    links: list[ChildLink] = attrs.field(factory=list)

    @property
    def starts(self) -> list[int]:
        """The pids of all nodes that were ever started."""
        path = self.top / "starts"
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    @property
    def heard(self) -> list[str]:
        return (self.top / "heard").read_text().split("\n")[:-1]

    async def open(self) -> ChildLink:
        words = {"top": self.top, "uuid": NODE.decode(), "version": self.version}
        argv = ["sh", "-c", NODE_SCRIPT.format(**words)]
        self.links.append(await open_child(argv, "node", lasting=True))
        return self.links[-1]

    def end(self) -> None:
        """Wait for all programs that nobody else waits for."""
        for link in self.links:
            trio_test(partial(_wait, link))()

    @asynccontextmanager
    async def session(
        self,
        descriptor: int | None = None,
        newest: int = 4,
        bypass: tuple[UUID, ...] = (),
        least: int = 0,
    ) -> AsyncIterator[KeepingPeer]:
        """One session, closed in good order, and known to the resident as ended."""
        fd = self.resident.session() if descriptor is None else descriptor
        keeper = Keeper(fd, self.rest)
        peer = KeepingPeer(
            *("node", NODE, self.open, keeper, lambda: self.place),
            timeout=30,
            bypass=lambda: bypass,
            least=least,
        )
        peer.newest = newest
        try:
            yield peer
        finally:
            await peer.aclose()
            keeper.close()
            await trio.to_thread.run_sync(self.resident.settle)


async def _wait(link: ChildLink) -> None:
    await link.process.wait()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Resident() as resident:
        made = World(tmp_path, resident)
        yield made
    made.end()


async def ask(world: World, **how: object) -> None:
    """A session that asks one thing."""
    async with world.session(**how) as peer:  # type: ignore[arg-type]  # see session
        assert await peer.present(KEY)


def test_the_next_session_goes_on_with_the_connection(world: World) -> None:
    async def main() -> None:
        for _ in range(3):
            await ask(world)

    trio_test(main)()
    assert len(world.starts) == 1
    assert len(world.resident.pool) == 1
    question = f"CHECKPRESENT {KEY.text.decode()}"
    assert (
        world.heard == ["VERSION 4 ", f"{question} "] * 3
        or world.heard
        == [
            "VERSION 4",
            question,
        ]
        * 3
    )


async def _content(peer: KeepingPeer) -> None:
    async with peer.get(KEY, 0, b"f") as payload:
        await drain(payload)
        assert await payload.verdict() is Validity.VALID
        payload.kept = True


async def _locked(peer: KeepingPeer) -> None:
    async with peer.lock(KEY) as held:
        assert held is not None
        await held.unlock()


async def _nothing(peer: KeepingPeer) -> None:
    await peer.connect()


@pytest.mark.parametrize("act", [_content, _locked, _nothing], ids=lambda f: f.__name__)
def test_whatever_was_done_on_it_is_over(
    world: World, act: Callable[[KeepingPeer], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with world.session(bypass=(OTHER,)) as peer:
            await act(peer)
        await ask(world, bypass=(OTHER,))

    trio_test(main)()
    assert len(world.starts) == 1
    said = [line.split() for line in world.heard]
    assert [w for w in said if w[0] == "BYPASS"] == [["BYPASS", OTHER.decode()]]


@pytest.mark.parametrize(
    "how", [{"newest": 3}, {"bypass": (OTHER,)}], ids=["version", "bypass"]
)
def test_one_that_was_told_something_else_is_not_used(
    world: World, how: dict[str, object]
) -> None:
    async def main() -> None:
        await ask(world)
        world.version = "echo VERSION ${rest%% *}"
        await ask(world, **how)

    trio_test(main)()
    assert len(world.starts) == 2
    assert len(world.resident.pool) == 2


def test_another_way_to_the_node_is_another_connection(world: World) -> None:
    async def main() -> None:
        await ask(world)
        world.place = world.place._replace(argv=["ssh", "-i", "other", "h"])
        await ask(world)

    trio_test(main)()
    assert len(world.starts) == 2


def test_a_client_without_version_leaves_nothing_behind(world: World) -> None:
    async def main() -> None:
        await ask(world, newest=0)

    trio_test(main)()
    assert len(world.resident.pool) == 0


# -- what may not be left behind ---------------------------------------------------------


def test_a_locked_key_is_not_left_to_others(world: World) -> None:
    async def main() -> None:
        async with world.session() as peer:
            with pytest.raises(PeerFailed):
                async with peer.lock(KEY):
                    # The session breaks: the lock is promised for ten minutes.
                    raise PeerFailed(name="it", detail="broke")
            # Nobody is to wait for those here.
            (lock,) = peer._abandoned
            peer._abandoned.clear()
            await lock.channel.link.aclose()

    trio_test(main)()
    assert len(world.resident.pool) == 0


def test_content_on_its_way_is_not_left_to_others(world: World) -> None:
    async def main() -> None:
        async with AsyncExitStack() as later:
            async with world.session() as peer:
                await later.enter_async_context(peer.get(KEY, 0, b"f"))

    trio_test(main)()
    assert len(world.starts) == 1
    assert len(world.resident.pool) == 0


def test_one_that_said_too_much_is_not_left_to_others(world: World) -> None:
    async def main() -> None:
        world.version = "printf 'VERSION 4\\nSUCCESS\\n'"
        async with world.session() as peer:
            await peer.connect()

    trio_test(main)()
    assert len(world.resident.pool) == 0


def test_one_that_is_old_is_not_left_to_others(world: World) -> None:
    async def main() -> None:
        async with world.session() as peer:
            await peer.present(KEY)
            world.links[0].opened -= keeping.LIFETIMES * world.rest

    trio_test(main)()
    assert len(world.resident.pool) == 0


def test_its_age_counts_over_all_sessions(world: World) -> None:
    """What is changed in a node's config has to count some day."""

    async def main() -> None:
        async with world.session() as peer:
            await peer.present(KEY)
            world.links[0].opened -= keeping.LIFETIMES * world.rest - 10
        (resting,) = world.resident.pool._resting
        assert 0 < resting.until - world.resident.pool._clock() <= 10
        async with world.session() as peer:
            channel = await peer.connect()
            assert isinstance(channel.link, ChildLink)
            assert channel.link.opened == pytest.approx(world.links[0].opened, abs=0.01)

    trio_test(main)()
    assert len(world.starts) == 1


# -- connections that are no good --------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=str)
def test_a_node_that_died_or_hangs_costs_a_new_connection(
    world: World, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_GREETING", 0.05)

    async def main() -> None:
        await ask(world)
        os.kill(world.starts[0], number)
        monkeypatch.setattr(keeping, "_GREETING", 0.05)
        await ask(world)
        if number == signal.SIGSTOP:
            os.kill(world.starts[0], signal.SIGCONT)

    trio_test(main)()
    assert len(world.starts) == 2


@pytest.mark.parametrize(
    "second",
    [
        "echo VERSION 3",
        "echo ERROR no",
        "echo SUCCESS",
        "printf 'VERSION 4\\nSUCCESS\\n'",
        "printf 'VERSION 4\\nhalf a line'",
        "printf '\\377\\n'",
        "printf '%70000d'",
        "exit 1",
    ],
)
def test_a_node_that_answers_otherwise_costs_a_new_connection(
    world: World, second: str
) -> None:
    world.version = f"if [ $asked = 2 ]; then {second}; else echo VERSION 4; fi"

    async def main() -> None:
        await ask(world)
        await ask(world)

    trio_test(main)()
    assert len(world.starts) == 2


def test_a_gateway_that_is_too_old_is_not_used_because_it_was_kept(
    world: World,
) -> None:
    world.version = "echo VERSION 1"

    async def main() -> None:
        await ask(world)
        with pytest.raises(PeerUnreachable):
            await ask(world, least=2)

    trio_test(main)()
    assert len(world.starts) == 2


def test_who_cannot_say_where_it_leads_keeps_nothing(world: World) -> None:
    async def main() -> None:
        keeper = Keeper(world.resident.session(), 60)

        def place() -> Place:
            raise PeerUnreachable(name="node", detail="its options are wrong")

        peer = KeepingPeer("node", NODE, world.open, keeper, place)
        peer.newest = 4
        assert await peer.present(KEY)
        await peer.aclose()
        keeper.close()

    trio_test(main)()
    world.resident.settle()
    assert len(world.resident.pool) == 0


# -- stderr --------------------------------------------------------------------------------


def test_stderr_reaches_the_client_of_the_session_and_no_other(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.version = "echo VERSION 4; echo said to $asked >&2"

    async def main() -> None:
        await ask(world)
        assert capfd.readouterr().err == "said to 1\n"
        await ask(world)
        assert capfd.readouterr().err == "said to 2\n"

    trio_test(main)()
    assert len(world.starts) == 1


def test_what_was_said_while_nobody_listened_is_for_nobody(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.version = "trap 'echo late >&2; : >late' USR1; echo VERSION 4"

    async def main() -> None:
        await ask(world)
        os.kill(world.starts[0], signal.SIGUSR1)
        while not (world.top / "late").exists():
            await trio.lowlevel.checkpoint()
        await ask(world)

    trio_test(main)()
    assert capfd.readouterr().err == ""
    assert len(world.starts) == 2


def test_one_that_is_left_holds_nothing_of_the_clients(world: World) -> None:
    async def main() -> None:
        await ask(world)

    trio_test(main)()
    (pid,) = world.starts
    leads_to = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)}
    assert all(target.startswith("pipe:") for target in leads_to.values())
    assert not {os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)} & {
        *leads_to.values()
    }
    assert os.getsid(pid) == pid
    assert set(os.listdir(f"/proc/{pid}/fd")) - {"10"} == {"0", "1", "2"}


# -- a resident process that is gone, silent or full ---------------------------------------


def test_without_the_resident_process_all_goes_on(world: World) -> None:
    async def main() -> None:
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.close()
        await ask(world, descriptor=theirs.detach())

    trio_test(main)()
    assert len(world.starts) == 1


def test_one_that_says_nothing_is_not_asked_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_ANSWERING", 0.01)

    async def main() -> None:
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            async with world.session(theirs.detach()) as peer:
                assert await peer.present(KEY)
                await peer.offer(3)
                assert await peer.present(KEY)
            assert len(ours.recv(1000)) > 0
            assert ours.recv(1000) == b""

    world.version = "echo VERSION ${rest%% *}"
    trio_test(main)()
    assert len(world.starts) == 2


@pytest.mark.parametrize("answer", [b"kept 4 1.0", b"kept 4 1.0 2", b"none", b"\xff"])
def test_an_answer_without_a_connection_is_none(world: World, answer: bytes) -> None:
    async def main() -> None:
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            reading, writing = os.pipe()
            socket.send_fds(ours, [answer], [reading])
            os.close(reading)
            async with world.session(theirs.detach()) as peer:
                assert await peer.present(KEY)
                with pytest.raises(BrokenPipeError):
                    os.write(writing, b"nobody has the other end")
            os.close(writing)

    trio_test(main)()
    assert len(world.starts) == 1


def test_nothing_stays_open(world: World) -> None:
    async def main() -> None:
        await ask(world)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            await ask(world)
        assert len(os.listdir("/proc/self/fd")) == before

    trio_test(main)()


def test_two_sessions_at_once_have_one_each(world: World) -> None:
    async def main() -> None:
        await ask(world)
        async with world.session() as first:
            assert await first.present(KEY)
            await ask_meanwhile(world)
        assert len(world.resident.pool) == 2

    async def ask_meanwhile(world: World) -> None:
        keeper = Keeper(world.resident.session(), 60)
        peer = KeepingPeer("node", NODE, world.open, keeper, lambda: world.place)
        peer.newest = 4
        assert await peer.present(KEY)
        await peer.aclose()
        keeper.close()

    trio_test(main)()
    assert len(world.starts) == 2
