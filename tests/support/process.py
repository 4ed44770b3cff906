"""Running programs in tests: always with a time limit, never with a shell."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds after which a program is taken to hang. Not a measure of speed: generous.
LIMIT = 120.0

Word = str | bytes | os.PathLike[str]


def text(raw: bytes) -> str:
    """Output as text that gives back the same bytes with ``os.fsencode``."""
    return raw.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Result:
    """What a finished program left: its words, exit code, and both streams."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return text(self.stdout)

    @property
    def err(self) -> str:
        return text(self.stderr)

    @property
    def all(self) -> str:
        """Both streams, for assertions about what a person is told."""
        return self.out + self.err

    def __str__(self) -> str:
        said = "".join(
            f"\n{name}:\n{value[-6000:]}"
            for name, value in (("stdout", self.out), ("stderr", self.err))
            if value
        )
        return f"{' '.join(self.argv)!r} ended with {self.code}{said}"


class ProgramFailed(AssertionError):
    """A program ended with an exit code that the test did not expect, or hung."""


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that was started in a session of its own, and its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all of it has ended already, which is what was wanted
    process.wait(timeout=LIMIT)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # unsent input of a dead program
                pipe.close()


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they started (Linux)."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(
            FileNotFoundError, ProcessLookupError
        ):  # it just ended
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(stat.parent.name))
    found = list(parents.get(pid, ()))
    for child in found:  # grows while it is walked
        found.extend(parents.get(child, ()))
    return found


def start(
    argv: Sequence[Word],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stderr: int | None = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a program on pipes, in a session of its own so that all of it can be killed."""
    return subprocess.Popen(
        [os.fspath(word) for word in argv],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )


def run(
    argv: Sequence[Word],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes = b"",
    check: bool = True,
    limit: float = LIMIT,
) -> Result:
    """Run a program to its end. With ``check``, anything but exit code 0 is a failure."""
    process = start(argv, cwd=cwd, env=env)
    words = tuple(text(os.fsencode(word)) for word in argv)
    try:
        stdout, stderr = process.communicate(stdin, timeout=limit)
    except subprocess.TimeoutExpired as hung:
        kill_session(process)
        said = text(hung.stdout or b"") + text(hung.stderr or b"")
        raise ProgramFailed(f"{words!r} did not end within {limit} s\n{said}") from None
    except BaseException:
        kill_session(process)
        raise
    result = Result(words, process.returncode, stdout, stderr)
    if check and result.code != 0:
        raise ProgramFailed(str(result))
    return result
