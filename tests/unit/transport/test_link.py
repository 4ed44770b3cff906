"""Who owns a descriptor, and in which mode it is given back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from annexshell.errors import LinkClosed
from annexshell.transport.child import open_child
from annexshell.transport.link import Link
from tests.support.async_tests import trio_test
from tests.support.pair import link_pair


def test_the_blocking_mode_found_is_put_back() -> None:
    reading, writing = os.pipe()
    shared = os.dup(writing)
    link = Link(reading, writing, "somebody")
    assert not os.get_blocking(shared)
    link.close()
    assert os.get_blocking(shared)
    os.close(shared)


def test_closing_twice_touches_no_reused_number() -> None:
    reading, writing = os.pipe()
    link = Link(reading, writing, "somebody")
    link.close()
    again = os.pipe()
    link.close()
    link.close_writing()
    os.write(again[1], b"x")
    for fd in again:
        os.close(fd)


@trio_test
async def test_a_peer_that_is_gone_is_a_closed_link() -> None:
    reading, writing = os.pipe()
    other_reading, other_writing = os.pipe()
    link = Link(reading, other_writing, "somebody")
    os.close(writing)
    os.close(other_reading)
    assert await link.read(10) == b""
    with pytest.raises(LinkClosed, match="the connection to somebody ended"):
        await link.write(b"hello")
    link.close()


@trio_test
async def test_a_child_is_spoken_to_and_waited_for() -> None:
    child = await open_child(["cat"], "cat")
    await child.write(b"hello")
    assert await child.read(5) == b"hello"
    await child.aclose()
    assert child.process.returncode == 0


@trio_test
async def test_a_child_that_will_not_end_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("annexshell.transport.child.GRACE", 0)
    stubborn = "trap '' TERM; echo; exec sleep 1000"
    child = await open_child(["sh", "-c", stubborn], "sleep")
    assert await child.read(1) == b"\n"
    await child.aclose()
    assert child.process.returncode == -9


@trio_test
async def test_a_child_is_told_to_end_before_it_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """git removes its lock files then; a stale one would need a person."""
    monkeypatch.setattr("annexshell.transport.child.GRACE", 1)
    obedient = "trap 'exit 7' TERM; echo; while :; do sleep 0.01; done"
    child = await open_child(["sh", "-c", obedient], "git")
    assert await child.read(1) == b"\n"
    await child.aclose()
    assert child.process.returncode == 7


@trio_test
async def test_every_failure_of_the_other_side_is_a_closed_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(*args: object) -> bytes:
        raise TimeoutError(110, "Connection timed out")

    reading, writing = os.pipe()
    link = Link(reading, writing, "somebody")
    with monkeypatch.context() as patched:
        patched.setattr(os, "read", lost)
        with pytest.raises(LinkClosed):
            await link.read(10)
        patched.setattr(os, "write", lost)
        with pytest.raises(LinkClosed):
            await link.write(b"hello")
    link.close()


@trio_test
async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        await open_child(["annexshell-no-such-program"], "nobody")


@pytest.mark.thorough
def test_nothing_else_reaches_the_clients_end() -> None:
    program = """
import os, subprocess
from annexshell.transport.stdio import take_stdio
link = take_stdio()
print("stray print")
subprocess.run(["sh", "-c", "echo stray child; cat"], check=True)
os.write(link.writing, b"protocol")
link.close()
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        input=b"for us",
        capture_output=True,
        timeout=60,
    )
    assert (run.returncode, run.stdout) == (0, b"protocol")
    assert sorted(run.stderr.splitlines()) == [b"stray child", b"stray print"]


@trio_test
async def test_a_file_as_input_is_always_ready_and_never_leaves(
    tmp_path: Path,
) -> None:
    path = tmp_path / "requests"
    path.write_bytes(b"VERSION 4\n")
    reading, writing = os.open(path, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    link = Link(reading, writing, "a file")
    try:
        await link.hung_up()
        with trio.move_on_after(0) as patience:
            await link.gone()
        assert patience.cancelled_caught
    finally:
        link.close()


@trio_test
async def test_what_need_not_be_waited_for() -> None:
    ours, theirs = link_pair(pipes=True)
    assert ours.read_now(100) is None
    assert theirs.write_now(b"hello") == 5
    assert ours.read_now(100) == b"hello"
    content = bytes(range(256)) * 4096
    took = theirs.write_now(content)
    assert 0 < took < len(content)
    assert theirs.write_now(content) == 0
    theirs.close()
    found = b""
    while more := ours.read_now(1 << 16):
        found += more
    assert (found, more) == (content[:took], b"")
    ours.close()
    for link_is_used in (lambda: ours.read_now(1), lambda: ours.write_now(b"x")):
        with pytest.raises(LinkClosed):
            link_is_used()
