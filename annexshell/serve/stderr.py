"""Our lines on stderr, without ever being held up by them.

sshd passes stderr on to the client. If that one stopped reading, the pipe fills up, and a
line written to it would hold the session for as long as the client likes.
"""

from __future__ import annotations

import logging
import os
import select

_PIECE = select.PIPE_BUF
"""Where there is room at all, so many bytes can be written without waiting."""


class StderrHandler(logging.Handler):
    """Writes to stderr where there is room within ``patience`` seconds, or not at all."""

    def __init__(self, fd: int = 2, patience: float = 1.0) -> None:
        super().__init__()
        self._fd = fd
        self._patience = patience
        self._blocked = False
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; what does not fit is dropped."""
        text = (self.format(record) + "\n").encode(errors="backslashreplace")
        for start in range(0, len(text), _PIECE):
            if not self._room():
                return
            try:
                os.write(self._fd, text[start : start + _PIECE])
            except OSError:
                # Nobody reads it any more; there is nowhere to say so.
                return

    def _room(self) -> bool:
        # Once it was waited for in vain, the next lines do not wait.
        patience = 0 if self._blocked else self._patience * 1000
        self._blocked = not self._poll.poll(patience)
        return not self._blocked
