"""Memory that one process had to copy, another has before it needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from annexshell.warm import pages

SCRIPT = """
import ctypes, mmap, os
from array import array
from annexshell.warm import pages

SIZE, COUNT = mmap.PAGESIZE, 4
memory = mmap.mmap(-1, COUNT * SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory[:] = b"x" * len(memory)
place = ctypes.addressof(ctypes.c_char.from_buffer(memory))

def own():
    told = array("Q", pages.used())
    spans = [(told[n], told[n] + told[n + 1]) for n in range(0, len(told), 3)]
    starts = [place + number * SIZE for number in range(COUNT)]
    return [any(a <= start < b for a, b in spans) for start in starts]

def forked(work):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, work())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        said = file.read()
    assert os.waitpid(pid, 0)[1] == 0
    return said

def writes():
    memory[0] = memory[2 * SIZE] = ord("y")
    assert own() == [True, False, True, False], own()
    return pages.used()

def copies():
    assert own() == [False] * COUNT, own()
    assert pages.populate(told)
    assert own() == [True, False, True, False], own()
    assert memory[:] == b"x" * len(memory)
    return b"done"

told = forked(writes)
assert forked(copies) == b"done"
"""


def test_those_that_one_process_wrote_to_are_copied_unchanged() -> None:
    if not pages.populate(pages.used()):
        pytest.skip("MADV_POPULATE_WRITE needs Linux 5.14")
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)


@pytest.mark.parametrize("told", [b"", (4096).to_bytes(8, sys.byteorder) * 3])
def test_what_is_not_to_be_had_is_left_out(told: bytes) -> None:
    assert not pages.populate(told)


def test_giving_back_what_is_left_over_needs_nothing_left_over() -> None:
    pages.trim()
    pages.trim()
