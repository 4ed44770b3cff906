"""Bytes in, messages out. What was read too far is handed back, openly."""

from __future__ import annotations

from annexshell.errors import LineTooLong
from annexshell.protocol.grammar import MAX_LINE, read_line
from annexshell.protocol.messages import Message


class Parser:
    """The lines of one side of a connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._read = 0
        """How much of the buffer is used up: most often all of it, which costs no copy."""

    def feed(self, data: bytes) -> None:
        """Bytes that arrived."""
        rest = self._buffer[self._read :]
        self._buffer, self._read = rest + data if rest else data, 0

    def next_message(self) -> Message | None:
        """The next message, or None if more bytes are needed.

        Raises Malformed for a line that is no message; that line is consumed, the next
        call goes on behind it. Raises LineTooLong before more than a line is buffered.
        """
        start = self._read
        end = self._buffer.find(b"\n", start, start + MAX_LINE + 1)
        if end < 0:
            if self.buffered > MAX_LINE:
                raise LineTooLong(limit=MAX_LINE)
            return None
        self._read = end + 1
        line = self._buffer[start:end]
        return read_line(line[:-1] if line.endswith(b"\r") else line)

    def take(self, limit: int) -> bytes:
        """At most ``limit`` bytes that came behind the last message: payload."""
        taken = self._buffer[self._read : self._read + limit]
        self._read += len(taken)
        return taken

    @property
    def buffered(self) -> int:
        """The number of bytes that no message was made of yet."""
        return len(self._buffer) - self._read
