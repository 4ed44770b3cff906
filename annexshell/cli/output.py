"""Writing to a descriptor past Python's buffers."""

from __future__ import annotations

import os


def write_all(descriptor: int, text: bytes) -> None:
    """Write all of ``text``. Raises OSError."""
    while text:
        text = text[os.write(descriptor, text) :]
