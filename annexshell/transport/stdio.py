"""Our standard input and output as a Link; nothing else can reach them.

Whatever a library or a child prints to standard output would be read by the client as
protocol. So the real descriptors move to other numbers, standard input becomes empty, and
standard output becomes standard error.
"""

from __future__ import annotations

import fcntl
import os

from annexshell.transport.link import Link

_FIRST_FREE = 10


def take_stdio() -> Link:
    """The Link to whoever started us. To be called once."""
    reading = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    writing = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    empty = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return Link(reading, writing, "the client")
