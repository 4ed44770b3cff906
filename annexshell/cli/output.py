"""Writing to a descriptor past Python's buffers."""

from __future__ import annotations

import os


def write_all(descriptor: int, text: bytes) -> None:
    """Write all of ``text``. Raises OSError."""
    while text:
        text = text[os.write(descriptor, text) :]


def tell(error: Exception) -> None:
    """One line on stderr, for the person at the client, about what goes on regardless."""
    write_all(2, f"annexshell: {error}\n".encode("utf-8", "backslashreplace"))
