"""git-annex's hooks and filter in a repository, where git-annex is installed (§14.3).

Without git-annex there must be none: git would fail, or leave content in its objects.
"""

from __future__ import annotations

import os
import shutil

from annexshell.repository.config import GitConfig
from annexshell.repository.open import Repository

FILTER = b"""[filter "annex"]
\tsmudge = git-annex smudge -- %f
\tclean = git-annex smudge --clean -- %f
\tprocess = git-annex filter-process
"""


def _if_known(command: str) -> str:
    # An older git-annex has no such command; git is not to fail for that.
    return (
        f"if git annex {command} --help >/dev/null 2>&1; then git annex {command}; fi"
    )


_ALWAYS = {"pre-push": _if_known("pre-push")}
_WITH_WORK_TREE = _ALWAYS | {
    "pre-commit": "git annex pre-commit .",
    "post-checkout": "git annex smudge --update",
    "post-merge": "git annex smudge --update",
    "post-receive": _if_known("post-receive"),
}


def install(repository: Repository) -> bool:
    """Install what belongs there; whether git's config is to have the filter too.

    What is there already is never replaced. Raises OSError.
    """
    if shutil.which("git-annex") is None:
        return False
    _make_hooks(repository, _ALWAYS if repository.bare else _WITH_WORK_TREE)
    if repository.bare or not _unlocked_files(repository.config):
        return False
    _make_attributes(repository.common_dir)
    return repository.config.get("filter.annex.smudge") is None


def _unlocked_files(config: GitConfig) -> bool:
    return config.boolean("annex.supportunlocked", True)


def _make_attributes(common_dir: str) -> None:
    """Let git's index pass file contents through the annex filter."""
    info = os.path.join(common_dir, "info")
    os.makedirs(info, exist_ok=True)
    with open(os.path.join(info, "attributes"), "a+b") as text:
        text.seek(0)
        before = text.read()
        if b"filter=annex" not in before:
            newline = b"" if before.endswith(b"\n") or not before else b"\n"
            text.write(newline + b"* filter=annex\n")


def _make_hooks(repository: Repository, commands: dict[str, str]) -> None:
    """Left alone where core.hooksPath leads out of the repository: others may share it."""
    if repository.config.get("core.hookspath") is not None:
        return
    hooks = os.path.join(repository.common_dir, "hooks")
    os.makedirs(hooks, exist_ok=True)
    for name, command in commands.items():
        path = os.path.join(hooks, name)
        if os.path.lexists(path):
            continue
        temporary = path + ".annexshell"
        with open(temporary, "w", encoding="ascii") as new:
            new.write(
                f"#!/bin/sh\n# automatically configured by git-annex\n{command}\n"
            )
        os.chmod(temporary, os.stat(temporary).st_mode & 0o777 | 0o111)
        os.rename(temporary, path)
