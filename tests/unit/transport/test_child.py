"""The ends of programs that are links."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
import trio

from annexshell.transport import child
from annexshell.transport.child import Adopted, ChildLink, open_child


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def hanging() -> ChildLink:
    return await open_child(["sleep", "1000"], "the node")


def test_who_is_abandoned_is_not_waited_for_but_ends() -> None:
    async def main() -> ChildLink:
        link = await hanging()
        link.abandon()
        assert link.reading == link.writing == -1
        return link

    link = trio.run(main)
    assert link.exit_code == -signal.SIGTERM


def test_one_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> ChildLink:
        monkeypatch.setattr(child, "GRACE", 0.01)
        stubborn = "trap '' TERM; echo ready; exec sleep 1000"
        link = await open_child(["sh", "-c", stubborn], "the node")
        assert await link.read(6) == b"ready\n"
        link.abandon()
        return link

    assert trio.run(main).exit_code == -signal.SIGKILL


def test_nothing_stays_open_if_nobody_waits_for_the_start() -> None:
    async def main() -> int:
        before = open_descriptors()
        with trio.CancelScope() as scope:
            scope.cancel()
            await hanging()
        assert scope.cancelled_caught
        return open_descriptors() - before

    assert trio.run(main) == 0


def test_what_somebody_else_started_ends_as_a_child_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "GRACE", 0.01)
    with subprocess.Popen(["sleep", "1000"]) as process:
        before = open_descriptors()

        async def main() -> None:
            reading, ours = os.pipe()
            theirs, writing = os.pipe()
            program = Adopted(os.pidfd_open(process.pid))
            link = ChildLink(program, reading, writing, "the node")
            await link.aclose()
            assert link.exit_code is None
            await link.aclose()
            program.kill()
            os.close(ours)
            os.close(theirs)

        trio.run(main)
        assert process.wait() == -signal.SIGTERM
        assert open_descriptors() == before


def test_a_lasting_child_has_a_session_and_a_stderr_of_its_own(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def main() -> None:
        script = "echo oops >&2; echo $$; read -r _"
        link = await open_child(["sh", "-c", script], "the node", lasting=True)
        pid = int(await link.read(100))
        assert os.getsid(pid) == pid
        assert os.readlink(f"/proc/{pid}/fd/2").startswith("pipe:")
        await link.aclose()

    before = open_descriptors()
    trio.run(main)
    assert open_descriptors() == before
    assert capfd.readouterr().err == "oops\n"
