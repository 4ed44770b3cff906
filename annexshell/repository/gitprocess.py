"""Short runs of git with its output collected; light, for use before anything is loaded.

Every run is told its git directory. Nothing is discovered, so neither the enclosing
repository of a subdirectory nor a GIT_DIR in the environment can take its place, and
git's ownership check, which guards discovery, is not met: the path came from the forced
command or was checked against it (spec 02 §4.1).
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MISLEADING = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    )
)
"""Variables that make git answer for another repository than the one it is given."""

_NO_FETCHING = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": ""}
"""Objects that are missing are not fetched; the second is for git before 2.45."""
_NO_PROGRAMS = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")


class GitFailed(Exception):
    """git could not be run or failed; the text is its complaint, as one line."""


class GitNotRun(GitFailed):
    """There is no git to run."""


def misleads(name: str) -> bool:
    """Whether an environment variable could turn git to another repository or config."""
    return name in MISLEADING or name.startswith("GIT_CONFIG")


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without what misleads git."""
    return {name: value for name, value in environ.items() if not misleads(name)}


def inert_git(git_dir: str) -> list[str]:
    """git and its options, so that the repository's config makes it run nothing.

    The repository may be another user's. Hooks and fsmonitor are programs that its config
    names; what `inert_environment` adds keeps git from fetching a missing object, for which
    it would run whatever the config calls a remote's upload-pack.
    """
    return ["git", *_NO_PROGRAMS, f"--git-dir={git_dir}"]


def inert_environment() -> dict[str, str]:
    """What belongs to `inert_git`."""
    return child_environment(os.environ) | _NO_FETCHING


def inherited_environment(more: Iterable[str]) -> dict[str, str]:
    """Our environment for a program, with the variables ``more`` set to 1."""
    return {**os.environ, **dict.fromkeys(more, "1")}


def is_inherited(variable: str) -> bool:
    """Whether the process that started us set ``variable`` to 1."""
    return os.environ.get(variable) == "1"


def git_output(git_dir: str, *words: str, limit: float | None = None) -> bytes:
    """What ``git --git-dir=git_dir words…`` writes. Raises GitFailed.

    Nothing that the repository's config names is run, see `inert_git`. After ``limit``
    seconds git is killed, which is a failure.
    """
    pid, out, err = _started(git_dir, words)
    try:
        text, complaint = _drain(out, err, limit=limit)
    except TimeoutError as error:
        import signal  # rarely needed, and it loads more

        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        detail = f"git was not done in {limit} seconds"
        raise GitFailed(detail) from error
    if os.waitpid(pid, 0)[1] != 0:
        lines = complaint.decode("utf-8", "backslashreplace").splitlines()
        raise GitFailed("; ".join(line.strip() for line in lines if line.strip()))
    return text


def _started(git_dir: str, words: tuple[str, ...]) -> tuple[int, int, int]:
    """git's pid, and what its output and its complaints come from."""
    # git config runs nothing, and would list what we set as set.
    plain = words[0] == "config"
    start = ["git", f"--git-dir={git_dir}"] if plain else inert_git(git_dir)
    out, out_child = os.pipe()
    err, err_child = os.pipe()
    try:
        pid = os.posix_spawnp(
            "git",
            [*start, *words],
            inert_environment(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out_child, 1),
                (os.POSIX_SPAWN_DUP2, err_child, 2),
            ],
        )
    except OSError as error:
        os.close(out)
        os.close(err)
        raise GitNotRun(f"git cannot be run: {error.strerror}") from error
    finally:
        os.close(out_child)
        os.close(err_child)
    return pid, out, err


def _drain(*descriptors: int, limit: float | None = None) -> list[bytes]:
    """All that comes out of each, read together so that neither can block the other.

    They are closed. Raises TimeoutError.
    """
    end = None if limit is None else time.monotonic() + limit
    chunks: dict[int, list[bytes]] = {fd: [] for fd in descriptors}
    waiting = select.poll()
    for fd in descriptors:
        waiting.register(fd, select.POLLIN)
    unread = set(descriptors)
    while unread:
        left = None if end is None else max(0.0, (end - time.monotonic()) * 1000)
        ready = waiting.poll(left)
        if not ready and end is not None and time.monotonic() >= end:
            for fd in unread:
                os.close(fd)
            raise TimeoutError
        for fd, _ in ready:
            chunk = os.read(fd, 65536)
            chunks[fd].append(chunk)
            if not chunk:
                waiting.unregister(fd)
                os.close(fd)
                unread.discard(fd)
    return [b"".join(chunks[fd]) for fd in descriptors]
