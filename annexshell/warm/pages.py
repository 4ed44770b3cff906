"""The memory that sessions use, made a process's own before it has one.

The first write to a page that is shared with the process we were forked from takes some
microseconds, and a session writes to more than a thousand. Which they are is seen once,
after a rehearsal; all processes that are forked from the same one have them at the same
addresses, so those that come later copy them at one go and rehearse nothing.
"""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Iterator

_POPULATE_READ, _POPULATE_WRITE = 22, 23
_PRESENT, _OF_FILE, _ALONE = 1 << 63, 1 << 61, 1 << 56
_SIZE = os.sysconf("SC_PAGESIZE")
_MOST = 1 << 22
"""Pages of a mapping; nothing that sessions use is so large."""


def used() -> bytes:
    """What `populate` takes: the pages that are this process's alone, and those of files.

    Raises OSError and ValueError where the kernel does not tell.
    """
    found = array("Q")
    fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for first, last, rights in _mappings():
            # What is written to, or else what was read from a file.
            wanted = _PRESENT | (_ALONE if rights == "rw-p" else _OF_FILE)
            known = array("Q", os.pread(fd, (last - first) * 8, first * 8))
            for start, count in _runs(known, wanted):
                how = _POPULATE_WRITE if rights == "rw-p" else _POPULATE_READ
                found.extend(((first + start) * _SIZE, count * _SIZE, how))
    finally:
        os.close(fd)
    return found.tobytes()


def _mappings() -> Iterator[tuple[int, int, str]]:
    """Private ones: the number of the first page, that after the last, and the rights."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    for line in lines:
        span, rights = line.split(maxsplit=2)[:2]
        first, last = (int(address, 16) // _SIZE for address in span.split("-"))
        named = not line.endswith("]") or line.endswith(("[heap]", "[stack]"))
        if rights in ("rw-p", "r-xp", "r--p") and named and last - first < _MOST:
            yield first, last, rights


def _runs(known: array[int], wanted: int) -> Iterator[tuple[int, int]]:
    """Where pages with all ``wanted`` bits follow each other: the first, and how many."""
    start = None
    for number, entry in enumerate((*known, 0)):
        if entry & wanted == wanted:
            start = number if start is None else start
        elif start is not None:
            yield start, number - start
            start = None


def populate(pages: bytes) -> bool:
    """Have these pages; whether the kernel can do that (Linux 5.14).

    It changes no byte of any: what is not there any more, or not to be had, is left out.
    """
    library = ctypes.CDLL(None, use_errno=True)
    advise = library.madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    told = array("Q", pages)
    had = 0
    for place in range(0, len(told), 3):
        had += advise(*told[place : place + 3]) == 0
    return had > 0


def trim() -> None:
    """Give back what loading left over, where the C library can do that."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
