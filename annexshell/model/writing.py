"""Writing to a descriptor past Python's buffers."""

from __future__ import annotations

import os


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of ``data``: the system may take less of it at a time. Raises OSError."""
    while data:
        data = data[os.write(fd, data) :]
