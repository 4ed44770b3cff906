"""What programs leave behind is waited for, and counted."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.bench import orphans, processes

_LEAVING = """
import os, pathlib, sys, time
if os.fork() == 0:
    pathlib.Path("/proc/self/comm").write_text(sys.argv[1])
    print(os.getpid(), flush=True)
    os.close(1)
    if len(sys.argv) == 2:
        while time.process_time() < 0.2: pass
    else:
        sys.stdin.read()
    os._exit(0)
"""


def _leave(*words: str, stdin: int = subprocess.DEVNULL) -> int:
    """Have a process leave another behind, whose pid it is."""
    argv = [sys.executable, "-c", _LEAVING, *words]
    done = subprocess.run(argv, stdin=stdin, stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def test_what_was_left_behind_counts() -> None:
    before = processes.children_cpu()
    with orphans.awaited("ax-left"):
        pid = _leave("ax-left")
    assert processes.children_cpu() - before >= 0.2
    assert not os.path.exists(f"/proc/{pid}")


def test_those_of_other_names_go_on() -> None:
    reading, writing = os.pipe()
    with orphans.awaited("ax-left"):
        pid = _leave("ax-other", "waits", stdin=reading)
    os.close(reading)
    assert os.path.exists(f"/proc/{pid}")
    assert pid in processes.children(os.getpid())
    os.close(writing)
    assert os.waitpid(pid, 0) == (pid, 0)
