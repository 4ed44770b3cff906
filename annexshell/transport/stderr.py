"""Writing to stderr without ever being held up by it.

sshd passes stderr on to the client. If that one stopped reading, the pipe fills up, and
what is written to it would hold the session for as long as the client likes.
"""

from __future__ import annotations

import os
import select

_PIECE = select.PIPE_BUF
"""Where there is room at all, so many bytes can be written without waiting."""


class PatientWriter:
    """Writes where there is room within ``patience`` seconds, or not at all."""

    def __init__(self, fd: int = 2, patience: float = 1.0) -> None:
        self._fd = fd
        self._patience = patience
        self._blocked = False
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, text: bytes) -> None:
        """Write ``text``; what does not fit is dropped."""
        for start in range(0, len(text), _PIECE):
            if not self._room():
                return
            try:
                os.write(self._fd, text[start : start + _PIECE])
            except OSError:
                # Nobody reads it any more; there is nowhere to say so.
                return

    def _room(self) -> bool:
        # Once it was waited for in vain, what comes next does not wait.
        patience = 0 if self._blocked else self._patience * 1000
        self._blocked = not self._poll.poll(patience)
        return not self._blocked
