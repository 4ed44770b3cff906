"""What git said about a repository's config, for as long as it would say the same again.

Running ``git config`` takes a tenth of a warm session's start, and proxied sessions do it for
each repository. What is kept is git's own text, never a reading of ours, and beside it all
that decided it: the program, the variables it goes by, and each file that it reads or would
read if it were there. If any of these is not what it was, or there is a doubt, git runs.

Nothing is kept of a repository whose config includes other files or is that of a linked
worktree, nor what was read of a file that had just been written: another write in the same
tick of the clock would not show.
"""

from __future__ import annotations

import marshal
import os
import stat
import time

from annexshell.repository.config import ask_git
from annexshell.repository.gitprocess import (
    GitFailed,
    git_output,
    inert_environment,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Fact = tuple[object, ...]
    News = tuple[Any, ...]
    """A program and the system's file for it; or a git directory, its facts and text."""

LONGEST = 32 << 10
"""Bytes of a text that is kept,"""
MOST = 64
"""and the number of them."""
_DECIDING = ("HOME", "PATH", "XDG_CONFIG_HOME", "LANGUAGE")
_HARMLESS = (
    "GIT_PROTOCOL",
    "GIT_ANNEX_",
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
    "GIT_SSH",
    "GIT_NO_LAZY_FETCH",
    "GIT_ALLOW_PROTOCOL",
)
"""Variables of git's that do not change what it lists; of all others it is not known."""
_TICK = 100_000_000
"""Nanoseconds in which a file that was written could be written once more, unseen,"""
_COARSE = 2_000_000_000
"""and where the file system keeps whole seconds only."""
_FOLLOWED = ("include.", "includeif.", "extensions.worktreeconfig\n")
_PRINT = "printf %s"


class Doubt(Exception):
    """It cannot be told whether git would say the same."""


class KeptConfigs:
    """Texts by git directory; asks git for what it does not have, and ``tell``s of that."""

    def __init__(self, tell: Callable[[bytes], None] | None = None) -> None:
        self.tell = tell
        self._texts: dict[str, tuple[Fact, bytes]] = {}
        self._systems: dict[Fact, str] = {}

    def answer(self, git_dir: str) -> bytes:
        """See `config.ask_git`."""
        try:
            environ = inert_environment()
            program = _program(environ)
            facts = self._facts(git_dir, program, environ)
        except (Doubt, OSError):
            return ask_git(git_dir)
        found = self._texts.get(git_dir)
        if facts is not None and found is not None and found[0] == facts:
            return found[1]
        text = ask_git(git_dir)
        try:
            self._learn(git_dir, program, environ, facts, text)
        except (Doubt, OSError, GitFailed):
            return text
        return text

    def _learn(
        self,
        git_dir: str,
        program: Fact,
        environ: Mapping[str, str],
        before: Fact | None,
        text: bytes,
    ) -> None:
        if program not in self._systems:
            _variables(environ)
            # Only now is it known which files count: the next session's answer is kept.
            self._tell((program, _system_file(environ)))
            return
        if before is None or before != self._facts(git_dir, program, environ):
            raise Doubt
        if _may_be_kept(text) and _at_rest(before):
            self._tell((git_dir, before, text))

    def _tell(self, news: News) -> None:
        self._note(news)
        if self.tell is not None:
            self.tell(marshal.dumps(news))

    def told(self, news: bytes) -> None:
        """Know what another process has learned of and told."""
        self._note(marshal.loads(news))

    def _note(self, news: News) -> None:
        if len(news) == 2:
            program, system = news
            self._systems[program] = system
            return
        git_dir, facts, text = news
        self._texts.pop(git_dir, None)
        while len(self._texts) >= MOST:
            del self._texts[next(iter(self._texts))]
        self._texts[git_dir] = facts, text

    def _facts(
        self, git_dir: str, program: Fact, environ: Mapping[str, str]
    ) -> Fact | None:
        """All that decides git's answer; None if it is not known which files do.

        Raises Doubt and OSError.
        """
        system = self._systems.get(program)
        if system is None:
            return None
        if os.path.lexists(f"{git_dir}/commondir"):
            raise Doubt
        files = [system, *_own_files(environ), f"{git_dir}/config"]
        return (
            program,
            _variables(environ),
            _place(git_dir),
            _place(f"{git_dir}/objects"),
            _place(f"{git_dir}/refs"),
            _mark(os.lstat(f"{git_dir}/HEAD")),
            *[_read_mark(path) for path in files],
        )


def _variables(environ: Mapping[str, str]) -> Fact:
    for name in environ:
        if name.startswith("GIT_") and not name.startswith(_HARMLESS):
            raise Doubt
    return tuple(environ.get(name) for name in _DECIDING)


def _own_files(environ: Mapping[str, str]) -> list[str]:
    """The account's config files, as git-config(1) names them."""
    home = environ.get("HOME", "")
    if home[:1] != "/":
        raise Doubt
    folder = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    return [f"{folder}/git/config", f"{home}/.gitconfig"]


def _program(environ: Mapping[str, str]) -> Fact:
    """The git that would be run. Raises Doubt and OSError."""
    for folder in environ.get("PATH", "").split(":"):
        path = f"{folder}/git"
        if folder[:1] != "/":
            raise Doubt
        if os.access(path, os.X_OK):
            return path, *_mark(os.stat(path))
    raise Doubt


def _system_file(environ: Mapping[str, str]) -> str:
    """The system's config file, which was chosen when git was built.

    Asking to edit it is the only way to be told it in all versions. Raises Doubt.
    """
    options = ("-c", f"core.editor={_PRINT}")
    if "GIT_EDITOR" in environ:
        raise Doubt
    path = git_output(os.devnull, *options, "config", "--system", "--edit", limit=10.0)
    if path[:1] != b"/" or b"\n" in path:
        raise Doubt
    return os.fsdecode(path)


def _place(path: str) -> Fact:
    """A directory that may be written to, as long as it is this one."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid


def _read_mark(path: str) -> Fact | None:
    """What tells a file from any other, and from itself after a change.

    It is opened, since that is when a network file system looks at it anew.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return _mark(os.fstat(fd))
    finally:
        os.close(fd)


def _mark(found: os.stat_result) -> Fact:
    if not stat.S_ISREG(found.st_mode):
        raise Doubt
    return (
        *(found.st_dev, found.st_ino, found.st_size, found.st_mode),
        *(found.st_mtime_ns, found.st_ctime_ns),
    )


def _at_rest(facts: Fact) -> bool:
    """Whether each file was left alone for so long that any write since would show."""
    now = time.time_ns()
    for mark in facts[5:]:
        if mark is None:
            continue
        assert isinstance(mark, tuple)
        times = mark[-2:]
        coarse = any(one % 1_000_000_000 == 0 for one in times)
        if max(times) > now - (_COARSE if coarse else _TICK):
            return False
    return True


def _may_be_kept(text: bytes) -> bool:
    if len(text) > LONGEST:
        return False
    records = (f"{record.decode('latin-1')}\n" for record in text.split(b"\0"))
    return not any(record.startswith(_FOLLOWED) for record in records)
