"""What is read about running processes, on processes made for it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import processes
from tests.bench.resident import Resident, find_resident, listeners

_PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=0)
print(child.pid, flush=True)
child.wait()
"""
_BUSY = """
import os, sys, time
def burn():
    while time.process_time() < 0.2: pass
if os.fork() == 0:
    burn(); os._exit(0)
os.wait()
print("done", flush=True)
sys.stdin.read()
"""
_LISTENER = """
import os, socket, sys
listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listening.bind(sys.argv[1]); listening.listen()
spare = os.fork()
if spare:
    print(spare, flush=True)
sys.stdin.read()
"""


@contextmanager
def started(script: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program until the block ends; its first line has been said."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_tree_is_a_process_and_its_descendants() -> None:
    with started(_PARENT) as process:
        child = int(first_line(process))
        assert processes.tree(process.pid) == [process.pid, child]
        assert process.pid in processes.tree(os.getpid())


def test_processor_time_of_ended_children_counts() -> None:
    with started(_BUSY) as process:
        assert first_line(process) == b"done"
        assert processes.own_cpu(process.pid) < processes.tree_cpu(process.pid)
        assert processes.tree_cpu(process.pid) >= 0.19


def test_between_two_readings_new_processes_count_whole_and_ended_ones_not() -> None:
    assert processes.spent({1: 2.0, 2: 5.0}, {1: 3.5, 3: 0.25}) == 1.75


def test_a_resident_is_read_without_the_sessions_it_has_seen_end() -> None:
    with started(_BUSY) as process:
        first_line(process)
        found = Resident(process.pid).clocks()
        assert set(found) == {process.pid}
        assert found[process.pid] < processes.tree_cpu(process.pid) - 0.1


def test_what_has_ended_is_left_out() -> None:
    with started("") as process:
        pass
    assert processes.children(process.pid) == []
    assert processes.tree_cpu(process.pid) == 0
    assert Resident(process.pid).clocks() == {}
    assert processes.peak([process.pid]) == processes.share([process.pid]) == 0


def test_memory_is_summed_over_processes() -> None:
    own = [os.getpid()]
    assert processes.peak(own) >= processes.share(own) > 0
    assert processes.peak(own * 2) == 2 * processes.peak(own)


def test_a_resident_is_what_listens_and_not_its_spares(tmp_path: Path) -> None:
    assert find_resident(tmp_path) is None
    with started(_LISTENER, str(folder(tmp_path) / "socket")) as process:
        assert int(first_line(process)) in processes.tree(process.pid)
        assert listeners(tmp_path) == {process.pid}
        assert find_resident(tmp_path) == Resident(process.pid)


def test_sockets_that_nobody_listens_on_are_no_residents(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as bound:
        bound.bind(str(folder(tmp_path) / "socket"))
        (folder(tmp_path) / "file").write_text("")
        assert listeners(tmp_path) == set()


def folder(runtime: Path) -> Path:
    """Where sockets lie in a runtime directory."""
    (runtime / "annexshell").mkdir(exist_ok=True)
    return runtime / "annexshell"


def test_who_holds_a_pipe() -> None:
    with started(_PARENT) as process:
        child = int(first_line(process))
        assert process.stdin is not None
        inode = os.fstat(process.stdin.fileno()).st_ino
        assert processes.holds(child, inode)
        assert not processes.holds(child, inode, stat.S_IFSOCK)
        reading, writing = os.pipe()  # not inherited
        assert not processes.holds(child, os.fstat(reading).st_ino)
        os.close(reading)
        os.close(writing)


def test_ending_a_resident_twice_is_no_error(tmp_path: Path) -> None:
    with started(_LISTENER, str(folder(tmp_path) / "socket")) as process:
        first_line(process)
        Resident(process.pid).end()
        process.wait(timeout=60)
        Resident(process.pid).end()
