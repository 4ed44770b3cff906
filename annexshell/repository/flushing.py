"""Having the disk begin early with what will be synced."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

_WRITE = 2
"""Linux's SYNC_FILE_RANGE_WRITE: what is not being written yet is handed to the disk.

With the flags for waiting, too, it would take a failure away from the fsync that is to
hear of it. Without them it promises nothing, and changes nothing but when the disk begins.
"""


def begin_writing_back(fd: int, begin: int, end: int) -> None:
    """Best effort; waits where the disk is busy."""
    _call()(fd, begin, end - begin, _WRITE)


@cache
def _call() -> Callable[[int, int, int, int], object]:
    # Python has no name for it. Only what is large needs this, so it is loaded then.
    import ctypes

    try:
        call = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError):
        return lambda fd, begin, count, flags: None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    call.restype = ctypes.c_int
    return call
