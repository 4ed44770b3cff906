"""The operator's commands around content: freeze, thaw, secure-erase, annex-content.

Spec 02 §5.3 and §10.

A script in ``hooks/`` takes precedence over the command in git config. None of them can
fail an operation; what they write goes to stderr, because stdout is the protocol.
"""

from __future__ import annotations

import logging
import os

from annexshell.repository.config import GitConfig
from annexshell.repository.ownership import may_run_programs_of
from annexshell.repository.programs import run_program

log = logging.getLogger(__name__)

CONTENT_LIMIT = 30.0
"""Seconds that hooks/annex-content may run. A session does not end while it does."""
_VARIABLE = "annexshell_path"


class Hooks:
    """The commands of one repository; looked up once."""

    def __init__(self, git_dir: str, config: GitConfig) -> None:
        self._git_dir = git_dir
        self._freeze = _find(git_dir, config, "freezecontent", "%path")
        self._thaw = _find(git_dir, config, "thawcontent", "%path")
        self._erase = _find(git_dir, config, "secure-erase", "%file")

    @property
    def freezes(self) -> bool:
        return self._freeze is not None

    @property
    def thaws(self) -> bool:
        return self._thaw is not None

    @property
    def erases(self) -> bool:
        return self._erase is not None

    def freeze(self, path: str) -> None:
        """After write permission was taken from a file or a directory."""
        _run(self._freeze, path)

    def thaw(self, path: str) -> None:
        """Before a file or a directory is changed."""
        _run(self._thaw, path)

    def erase(self, path: str) -> None:
        """Before a file with content is unlinked."""
        _run(self._erase, path)

    def content_changed(self, directory: str) -> None:
        """After content was received or dropped, in ``directory`` (spec 02 §10).

        git-annex-shell is documented to run this. One run may stand for many changes.
        Raises nothing, and kills what runs for more than `CONTENT_LIMIT`.
        """
        script = f"{self._git_dir}/hooks/annex-content"
        if not os.access(script, os.X_OK) or not may_run_programs_of(self._git_dir):
            return
        import subprocess

        try:
            # It runs beside the session, which locks content for its client meanwhile.
            done = run_program(
                [script], cwd=directory, timeout=CONTENT_LIMIT, lend=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("%s: %s", script, error)
        else:
            if done.returncode:
                log.warning("%s failed: exit %d", script, done.returncode)


_Command = tuple[str, str | None]
"""A script, or a shell command and the word in it that stands for the path."""


def _find(git_dir: str, config: GitConfig, name: str, mark: str) -> _Command | None:
    script = f"{git_dir}/hooks/{name}-annex"
    command = config.get(f"annex.{name}-command")
    found: _Command | None = (command, mark) if command else None
    if os.access(script, os.X_OK):
        found = script, None
    return found if found and may_run_programs_of(git_dir) else None


def _run(found: _Command | None, path: str) -> None:
    if found is None:
        return
    command, mark = found
    if mark is None:
        argv = [command, path]
    else:
        argv = ["sh", "-c", *_with_path(command, mark, path)]
    run_program(argv)


def _with_path(command: str, mark: str, path: str) -> list[str]:
    """The script for ``sh -c`` and its arguments.

    A key's name, which a client chooses, is part of the path. Quoting it would not do: a
    mark that stands in quotes itself, as in ``logger "froze %path"``, would undo that. So
    a path with any character special to a shell is only ever a variable's value.
    """
    import shlex

    if shlex.quote(path) == path:
        return [command.replace(mark, path)]
    script = f"{_VARIABLE}=$1; export {_VARIABLE}; shift\n"
    return [script + command.replace(mark, f'"${{{_VARIABLE}}}"'), "sh", path]
