"""Who commits to the git-annex branch, with which message, and who is told (spec 03 §8.1).

And whether the operator wants a repository initialised at all (spec 02 §14.3).

A commit never fails for lack of a name: what a session recorded must not wait in the
journal until somebody sets user.name.
"""

from __future__ import annotations

import logging
import os
import pwd

from annexshell.repository.errors import InitializationRefused
from annexshell.repository.git import Person
from annexshell.repository.open import Repository
from annexshell.repository.ownership import may_run_programs_of
from annexshell.repository.programs import run_program

log = logging.getLogger(__name__)

_UNSAFE = str.maketrans("", "", "<>\n\r\0")


def committer(repository: Repository) -> Person:
    """user.name and user.email, each with the name of the account in its place."""
    config = repository.config
    name = config.get("committer.name") or config.get("user.name")
    email = config.get("committer.email") or config.get("user.email")
    account = _account()
    return Person(_safe(name) or account, _safe(email) or account)


def _account() -> str:
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = ""
    return _safe(name) or f"uid{os.geteuid()}"


def _safe(text: str | None) -> str:
    # What git would refuse in a signature, and what is no UTF-8.
    clean = (text or "").translate(_UNSAFE).encode("utf-8", "replace").decode()
    return clean.strip(" .,:;\"'\\")


def commit_message(repository: Repository, default: str) -> bytes:
    """What the hook or command prints, or annex.commitmessage, or ``default``.

    A hook that fails, or prints nothing, is no reason not to commit.
    """
    text = _run(repository, "commitmessage", "commitmessage-annex", capture=True)
    if text.strip():
        return text if text.endswith(b"\n") else text + b"\n"
    fixed = os.fsencode(repository.config.get("annex.commitmessage") or "")
    return (fixed or default.encode("utf-8", "surrogateescape")) + b"\n"


def tell_updated(repository: Repository) -> None:
    """Run annex.post-update-command or the hook post-update-annex."""
    _run(repository, "post-update", "post-update-annex", capture=False)


def check_wanted(repository: Repository) -> None:
    """Run the hook pre-init-annex or annex.pre-init-command, which can prevent it.

    Raises InitializationRefused if it fails, and if it may not be run.
    """
    command = _command(repository, "pre-init", "pre-init-annex")
    if command is None:
        return
    if not may_run_programs_of(repository.common_dir):
        raise InitializationRefused(path=repository.path, hook=command[-1])
    try:
        done = run_program(command, cwd=repository.path)
    except OSError as error:
        detail = f"{command[-1]}: {error.strerror}"
        raise InitializationRefused(path=repository.path, hook=detail) from error
    if done.returncode != 0:
        raise InitializationRefused(path=repository.path, hook=command[-1])


def _run(repository: Repository, setting: str, hook: str, *, capture: bool) -> bytes:
    command = _command(repository, setting, hook)
    if command is None or not may_run_programs_of(repository.common_dir):
        return b""
    try:
        done = run_program(command, cwd=repository.path, capture=capture)
    except OSError as error:
        log.warning("%s cannot be run (%s): %s", hook, command[-1], error.strerror)
        return b""
    if done.returncode != 0:
        log.warning("%s failed (%s): exit %d", hook, command[-1], done.returncode)
        return b""
    return done.stdout or b""


def _command(repository: Repository, setting: str, hook: str) -> list[str] | None:
    # git-annex's hooks are not git's: core.hooksPath does not lead to them.
    path = os.path.join(repository.common_dir, "hooks", hook)
    if os.access(path, os.X_OK) and os.path.isfile(path):
        return [path]
    shell = repository.config.get(f"annex.{setting}-command")
    return ["sh", "-c", shell] if shell else None
