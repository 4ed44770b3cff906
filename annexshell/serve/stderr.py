"""Our lines on stderr, without ever being held up by them."""

from __future__ import annotations

import logging

from annexshell.transport.stderr import PatientWriter


class StderrHandler(logging.Handler):
    """Writes to stderr where there is room within ``patience`` seconds, or not at all."""

    def __init__(self, fd: int = 2, patience: float = 1.0) -> None:
        super().__init__()
        self._writer = PatientWriter(fd, patience)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; what does not fit is dropped."""
        text = (self.format(record) + "\n").encode(errors="backslashreplace")
        self._writer.write(text)
