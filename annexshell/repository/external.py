"""External backends: a program that knows whether bytes are a key's content (spec 02 §3.4).

``git-annex-backend-XFOO``, found in the PATH of the server's account, is asked by lines on
its stdin and answers on its stdout. It is ended when it has been silent for too long, and
what it does not answer properly is never taken for a yes.
"""

from __future__ import annotations

import logging
import os
import re
import select
import shutil
import signal
import subprocess
from contextlib import suppress
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple

import attrs

from annexshell.errors import BackendFailed, NotVerifiable, printable
from annexshell.model.key import Key

log = logging.getLogger(__name__)

_NAME = re.compile(rb"X[A-Z0-9_]+\Z")
_SPACE = re.compile(rb"[\x00-\x20]")
_PREFIX = "git-annex-backend-"
_LONGEST = 64 << 10
"""Bytes of a line after which a program is taken to be out of order."""
_GRACE = 2.0
"""Seconds it has to end by itself once it has answered."""
_CONTENT = b"VERIFYKEYCONTENT"


class Abilities(NamedTuple):
    """What a program says of its keys."""

    verifies: bool
    secure: bool


@attrs.frozen
class Program:
    """The program of one backend. ``patience`` is the seconds it may be silent."""

    path: str
    patience: int

    def abilities(self, key: Key) -> Abilities:
        """What it can do; asked once of a program file. Raises BackendFailed."""
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise BackendFailed(program=self.path, key=key, detail=error) from error
        return _abilities(self, (found.st_ino, found.st_mtime_ns), key.backend)

    def verify(self, key: Key, path: str) -> bool:
        """Whether the file at ``path`` holds the key's content.

        Raises BackendFailed if the program cannot be made to tell, and NotVerifiable for
        a path that is no end of a line.
        """
        if "\n" in path:
            raise NotVerifiable(key=key, detail="the path here has a line feed in it")
        with _Conversation(self, key) as conversation:
            conversation.ask(b"GETVERSION", b"VERSION 1")
            request = b" ".join((_CONTENT, _plain(key).text, os.fsencode(path)))
            yes, no = (_CONTENT + word for word in (b"-SUCCESS", b"-FAILURE"))
            return conversation.ask(request, yes, no, b"ERROR") == yes


def program_name(key: Key) -> str:
    """The name of the program. Raises NotVerifiable for what must not become one.

    Both come from a client. A backend may not lead out of PATH, and a space in the key
    would let it choose which file the program reads.
    """
    backend = _plain(key).backend
    if not _NAME.match(backend):
        raise NotVerifiable(key=key, detail="no external backend can have this name")
    if _SPACE.search(key.text):
        raise NotVerifiable(key=key, detail="it has a space in it")
    return _PREFIX + backend.decode()


def find_program(key: Key, patience: int) -> Program | None:
    """The program of the key's backend; None if it is not installed.

    Raises NotVerifiable.
    """
    path = shutil.which(program_name(key))
    return None if path is None else Program(path, patience)


def _plain(key: Key) -> Key:
    """The key as the program knows it: without the E, and without an extension."""
    if not key.backend.endswith(b"E"):
        return key
    name = key.name.partition(b".")[0]
    return attrs.evolve(key, backend=key.backend[:-1], name=name)


@lru_cache(maxsize=64)
def _abilities(
    program: Program, identity: tuple[int, int], backend: bytes
) -> Abilities:
    key = Key(backend=backend, name=b"")
    with _Conversation(program, key) as conversation:
        conversation.ask(b"GETVERSION", b"VERSION 1")
        return Abilities(
            conversation.agrees(b"CANVERIFY"),
            conversation.agrees(b"ISCRYPTOGRAPHICALLYSECURE"),
        )


class _Conversation:
    """A run of the program, of which nothing is left behind."""

    def __init__(self, program: Program, key: Key) -> None:
        self._program = program
        self._key = key
        self._held = b""
        try:
            # Of ours it gets stderr alone: stdin and stdout are the client's.
            self._process = subprocess.Popen(
                [program.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                process_group=0,
            )
        except OSError as error:
            raise self._broken(error.strerror or error) from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in = self._process.stdin
        self._out = self._process.stdout

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._in.close()
        with self._out:
            if error is None:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GRACE)
                    return
            # It was not waited for yet, so the number is still that of its group.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def agrees(self, question: bytes) -> bool:
        """A question of yes or no. Raises BackendFailed."""
        yes = question + b"-YES"
        return self.ask(question, yes, question + b"-NO") == yes

    def ask(self, request: bytes, *answers: bytes) -> bytes:
        """Which of the answers comes; ERROR must be among them to be one.

        Raises BackendFailed.
        """
        try:
            os.set_blocking(self._in.fileno(), False)
            self._write(request + b"\n")
        except OSError as error:
            raise self._broken("it ended early") from error
        while True:
            line = self._line()
            word, _, rest = line.partition(b" ")
            if word == b"DEBUG":
                log.debug("%s: %s", self._program.path, printable(rest))
            elif word == b"ERROR":
                if word not in answers:
                    raise self._broken(f"it says {printable(rest)}")
                log.warning("%s says: %s", self._program.path, printable(rest))
                return word
            elif line in answers:
                return line
            elif word != b"PROGRESS" or not request.startswith(_CONTENT):
                raise self._broken(f"it answered {printable(line[:100])}")

    def _write(self, rest: bytes) -> None:
        while rest:
            self._wait(self._in.fileno(), select.POLLOUT)
            rest = rest[os.write(self._in.fileno(), rest) :]

    def _line(self) -> bytes:
        while b"\n" not in self._held:
            if len(self._held) > _LONGEST:
                raise self._broken("it writes a line without an end")
            self._wait(self._out.fileno(), select.POLLIN)
            chunk = os.read(self._out.fileno(), 4096)
            if not chunk:
                raise self._broken("it ended early")
            self._held += chunk
        line, _, self._held = self._held.partition(b"\n")
        return line

    def _wait(self, fd: int, event: int) -> None:
        waiting = select.poll()
        waiting.register(fd, event)
        if not waiting.poll(self._program.patience * 1000):
            detail = f"it was silent for {self._program.patience} seconds"
            raise self._broken(detail)

    def _broken(self, detail: object) -> BackendFailed:
        return BackendFailed(program=self._program.path, key=self._key, detail=detail)
