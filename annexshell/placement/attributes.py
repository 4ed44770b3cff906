"""What git's attributes say of a file: annex.numcopies (spec 04 §6).

The installed git is asked, as git-annex does, so that both agree in one repository: which
attributes there are without a work tree differs from one version of git to the next.
"""

from __future__ import annotations

import os

from annexshell.logs.numbers import lenient_word
from annexshell.repository.gitprocess import git_output
from annexshell.repository.open import Repository

_ATTRIBUTE = "annex.numcopies"
_MAX_NAME = 64 << 10
"""Bytes; of names in the protocol there are at most half as many."""
LIMIT = 5.0
"""Seconds. Whoever may push chooses the patterns of .gitattributes, and git goes back and
forth in them for ever."""


def attribute_numcopies(repository: Repository, file: str) -> int | None:
    """The file's annex.numcopies, at least 1; None if there is none that is a number.

    ``file`` is relative to the top of the repository. It need not exist, and nothing of it
    is opened. Runs git. Raises GitFailed.
    """
    name = file.encode("utf-8", "surrogateescape")
    if not name or b"\0" in name or len(name) > _MAX_NAME:
        return None
    if file.startswith("/") or file.split("/", 1)[0] == "..":
        # git refuses what is outside of the repository, which ends git-annex-shell.
        return None
    value = _value(repository, os.fsdecode(name))
    number = lenient_word(value)
    return None if number is None else max(1, number)


def _value(repository: Repository, name: str) -> bytes:
    tree = repository.work_tree
    where = ["-C", tree or repository.git_dir]
    if tree is not None:
        where.append(f"--work-tree={tree}")
    words = ("check-attr", "-z", _ATTRIBUTE, "--", name)
    answer = git_output(repository.git_dir, *where, *words, limit=LIMIT)
    # PATH NUL ATTRIBUTE NUL VALUE NUL, and a path can hold anything but NUL.
    fields = answer.split(b"\0")
    return fields[2] if len(fields) > 2 else b""
