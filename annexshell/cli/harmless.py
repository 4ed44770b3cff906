"""What programs say on our stderr, made fit for the operator's terminal.

ssh passes on whatever a node says there. A node, or whoever has taken one over, could
move the cursor and paint a cluster in good health, or set what a terminal later types.
"""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from annexshell.errors import printable
from annexshell.model.writing import write_all

_CHUNK = 1 << 16
_PATIENCE = 1.0
"""Seconds to wait for the last words, where a program that was left behind has our stderr."""


@contextmanager
def harmless_stderr() -> Iterator[None]:
    """A block in which control characters in what goes to stderr, also by programs that
    are started, are escaped, save for the ends of lines. Raises OSError."""
    terminal = os.dup(2)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    copying = Thread(target=_copy, args=(reading, terminal), daemon=True)
    copying.start()
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        copying.join(_PATIENCE)


def _copy(reading: int, terminal: int) -> None:
    """Until nobody writes any more; both descriptors are closed then."""
    bytes_to_text = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    # ssh ends its own lines with a carriage return as well.
    decoder = io.IncrementalNewlineDecoder(bytes_to_text, translate=True)
    try:
        while chunk := os.read(reading, _CHUNK):
            _show(terminal, decoder.decode(chunk))
        _show(terminal, decoder.decode(b"", final=True))
    except OSError:
        return  # nobody looks any more, and there is nowhere to say so
    finally:
        os.close(reading)
        os.close(terminal)


def _show(terminal: int, text: str) -> None:
    lines = "\n".join(map(printable, text.split("\n")))
    write_all(terminal, lines.encode("utf-8", "backslashreplace"))
