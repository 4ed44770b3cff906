"""Many objects of git's at once, streamed through git's own programs.

Asking libgit2 for a million blobs one by one takes three times as long: git's programs
work beside us, on processors of their own, and need no call for each object. They also
read every format of repository that git knows. Nothing is kept but what is on its way.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from annexshell.errors import BranchUnreadable
from annexshell.repository.gitprocess import inert_environment, inert_git

_CHUNK = 1 << 18
_PIPE = 1 << 20
"""Bytes of a pipe, so that git goes on while we think."""
_HEADER = re.compile(rb"[0-9a-f]+ blob (\d+)\n")
_AHEAD = 4
"""Batches asked for before the first is answered; git holds some KiB of answers back."""
_MOST_SAID = 1000


def records(git_dir: str, *words: str, fields: int = 1) -> Iterator[bytes]:
    """Pieces of what git writes with ``-z``: some whole records each, NULs included.

    A record has ``fields`` NULs. Raises BranchUnreadable where git fails.
    """
    with _git(git_dir, *words) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        rest = b""
        while chunk := os.read(process.stdout.fileno(), _CHUNK):
            piece = rest + chunk
            end = piece.rfind(b"\0") + 1
            for _ in range(piece.count(b"\0") % fields):
                end = piece.rfind(b"\0", 0, end - 1) + 1
            rest = piece[end:]
            if end:
                yield piece[:end]
        if rest:
            raise _failed(git_dir, words[0], "a record without an end")


def blobs(
    git_dir: str, asked: Iterator[Sequence[bytes]], limit: int
) -> Iterator[list[bytes]]:
    """The contents of blobs, asked for in batches by their hex ids, in that order.

    A batch should have some hundred ids. Raises BranchUnreadable, also for what is no blob
    or has more than ``limit`` bytes: whoever may push could have all memory filled.
    """
    with _git(git_dir, "cat-file", "--batch", "--buffer") as process:
        talk = _Talk(git_dir, process, limit)
        waiting: deque[Sequence[bytes]] = deque()
        while True:
            while len(waiting) < _AHEAD and (batch := next(asked, None)) is not None:
                talk.ask(batch)
                waiting.append(batch)
            if not waiting:
                return
            if len(waiting) < _AHEAD:
                talk.finish()
            yield talk.answers(waiting.popleft())


class _Talk:
    """Questions to cat-file and its answers, neither of which may block the other."""

    def __init__(
        self, git_dir: str, process: subprocess.Popen[bytes], limit: int
    ) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._git_dir = git_dir
        self._limit = limit
        self._to: IO[bytes] = process.stdin
        self._from = process.stdout.fileno()
        self._unsaid = b""
        self._heard = b""
        self._last = False
        os.set_blocking(self._to.fileno(), False)
        self._poll = select.poll()
        self._poll.register(self._from, select.POLLIN)
        self._polled = False

    def ask(self, names: Sequence[bytes]) -> None:
        """Have these ids asked for, as soon as git listens."""
        self._unsaid += b"".join([name + b"\n" for name in names])
        self._watch()

    def finish(self) -> None:
        """There are no more questions: git is to hold nothing back."""
        self._last = True
        self._watch()

    def answers(self, names: Sequence[bytes]) -> list[bytes]:
        """The contents of the next ``names`` in turn."""
        found: list[bytes] = []
        heard, position = self._heard, 0
        for name in names:
            header = _HEADER.match(heard, position)
            while header is None:
                heard, position = self._header(name, heard[position:]), 0
                header = _HEADER.match(heard)
            start, size = header.end(), int(header[1])
            if size > self._limit:
                raise self._too_large(name, size)
            if len(heard) <= start + size:
                heard, start = self._longer(heard[start:], size), 0
            position = start + size + 1
            found.append(heard[start : position - 1])
        self._heard = heard[position:]
        return found

    def _header(self, name: bytes, heard: bytes) -> bytes:
        """What was heard, and more; BranchUnreadable if git has no such blob."""
        if b"\n" in heard:
            detail = f"object {name.decode('ascii', 'replace')} is missing or no blob"
            raise BranchUnreadable(where=self._git_dir, detail=detail)
        return heard + self._more()

    def _longer(self, heard: bytes, size: int) -> bytes:
        """What was heard and what follows, more than ``size`` bytes in all."""
        parts, length = [heard], len(heard)
        while length <= size:
            parts.append(self._more())
            length += len(parts[-1])
        return b"".join(parts)

    def _too_large(self, name: bytes, size: int) -> BranchUnreadable:
        detail = f"object {name.decode()} has {size} bytes, over {self._limit}"
        return BranchUnreadable(where=self._git_dir, detail=detail)

    def _more(self) -> bytes:
        """The next bytes of the answer, while questions go out."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor != self._from:
                    self._say()
                    continue
                if chunk := os.read(self._from, _CHUNK):
                    return chunk
                raise _failed(self._git_dir, "cat-file", "it ended before its answer")

    def _say(self) -> None:
        with suppress(BlockingIOError):
            said = os.write(self._to.fileno(), self._unsaid[:_CHUNK])
            self._unsaid = self._unsaid[said:]
        self._watch()

    def _watch(self) -> None:
        """Wait for git to listen only while there is something to say."""
        if self._unsaid and not self._polled:
            self._poll.register(self._to, select.POLLOUT)
        elif self._polled and not self._unsaid:
            self._poll.unregister(self._to)
        self._polled = bool(self._unsaid)
        if self._last and not self._unsaid and not self._to.closed:
            self._to.close()


# As libgit2: a pushed refs/replace/ must not change what the branch says.
_OPTIONS = ("-c", "safe.directory=*", "--no-replace-objects")


@contextmanager
def _git(git_dir: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """git, running; BranchUnreadable with what it said where it ends with an error."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [*inert_git(git_dir), *_OPTIONS, *words],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=inert_environment(),
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # the account may have too many of that size
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            yield process
            process.stdin.close()
        except BrokenPipeError as error:
            raise _failed(git_dir, words[0], "it ended early") from error
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            said.seek(0)
            complaint = said.read(_MOST_SAID).decode("utf-8", "backslashreplace")
            reason = complaint.strip() or f"exit code {process.returncode}"
            raise _failed(git_dir, words[0], reason)


def _failed(git_dir: str, word: str, reason: str) -> BranchUnreadable:
    return BranchUnreadable(where=git_dir, detail=f"git {word} failed: {reason}")
