"""Bytes in, messages out. What was read too far is handed back, openly."""

from __future__ import annotations

from annexshell.errors import LineTooLong
from annexshell.protocol.grammar import MAX_LINE, read_line
from annexshell.protocol.messages import Message


class Parser:
    """The lines of one side of a connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Bytes that arrived."""
        self._buffer += data

    def next_message(self) -> Message | None:
        """The next message, or None if more bytes are needed.

        Raises Malformed for a line that is no message; that line is consumed, the next
        call goes on behind it. Raises LineTooLong before more than a line is buffered.
        """
        if not self._buffer:
            return None
        end = self._buffer.find(b"\n", 0, MAX_LINE + 1)
        if end < 0:
            if len(self._buffer) > MAX_LINE:
                raise LineTooLong(limit=MAX_LINE)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return read_line(line[:-1] if line.endswith(b"\r") else line)

    def take(self, limit: int) -> bytes:
        """At most ``limit`` bytes that came behind the last message: payload."""
        taken = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        return taken

    @property
    def buffered(self) -> int:
        """The number of bytes that no message was made of yet."""
        return len(self._buffer)
