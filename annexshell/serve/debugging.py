"""Where warnings and debug output of a session go (docs/deployment.md).

Warnings are for the person at the client, on stderr. Debug output is written only where
it was asked for: to stderr with ``--debug``, to the file that ``annexshell.log`` names.
Each of its lines begins with the time and the session's name.
"""

from __future__ import annotations

import logging
import os
import time

from annexshell.errors import printable
from annexshell.serve.request import SessionRequest
from annexshell.serve.stderr import StderrHandler

TYPE_CHECKING = False
if TYPE_CHECKING:  # most sessions write to no file
    from annexshell.repository.logfile import LogFile

log = logging.getLogger("annexshell.serve")

SETTING = "annexshell.log"


def begin_logging(request: SessionRequest) -> None:
    """Send what is logged from here on where the client and the operator want it."""
    stderr = StderrHandler()
    stderr.setFormatter(logging.Formatter("annexshell: %(message)s"))
    stderr.setLevel(logging.WARNING)
    if request.debug:
        stderr.setFormatter(_Structured(request.session))
        stderr.setLevel(logging.DEBUG)
    handlers: list[logging.Handler] = [stderr]
    file = _file(request)
    if file is not None:
        handlers.append(_ToFile(file, request.session))
    wanted = request.debug or file is not None
    level = logging.DEBUG if wanted else logging.WARNING
    logging.basicConfig(handlers=handlers, level=level)
    if request.keeper >= 0:
        log.debug("warm start, by the resident process %d", os.getppid())


def _file(request: SessionRequest) -> LogFile | None:
    if not request.repository.config.all(SETTING):
        return None
    from annexshell.repository.logfile import configured

    return configured(request.repository, SETTING)


class _Structured(logging.Formatter):
    """``TIME SESSION LEVEL WHERE: MESSAGE``, always one line."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, session: str) -> None:
        super().__init__(f"%(asctime)s {session} %(levelname)s %(name)s: %(message)s")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _ToFile(logging.Handler):
    """Appends to an operator's file; a warning on stderr is all that can come of it."""

    def __init__(self, file: LogFile, session: str) -> None:
        super().__init__()
        self.setFormatter(_Structured(session))
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record).encode("utf-8", "backslashreplace")
        self._file.append(line + b"\n")
