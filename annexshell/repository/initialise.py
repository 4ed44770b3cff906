"""Initialising a repository on request of configlist (spec 02 §14.3).

The commit point is the last step: one atomic change of git's config that sets annex.uuid
and annex.version together. Until then the repository counts as not initialised, and the
uuid chosen for it waits in a file, so that an attempt cut off anywhere is taken up with the
same uuid and leaves no trace of another. Two attempts at once take turns under a lock, and
the second finds the first one's uuid; git-annex's own init in between is found under
git's lock on the config file, and its uuid is kept.
"""

from __future__ import annotations

import os
import pwd
import shutil

from annexshell.errors import (
    AnnexshellError,
    InitializationFailed,
    LockTimeout,
    RepositoryBusy,
    ShellError,
    Unsupported,
)
from annexshell.logs.mapped import (
    Form,
    descriptions,
    parse_map,
    with_description,
)
from annexshell.model.clock import clock_now, parse_clock
from annexshell.model.ids import UUID, looks_like_uuid
from annexshell.repository.branch import Branch
from annexshell.repository.config import as_boolean
from annexshell.repository.configfile import amend_config
from annexshell.repository.filelock import FileLock, locks_of
from annexshell.repository.modes import Sharing
from annexshell.repository.open import Repository

VERSION = b"10"
_PENDING = "annexshell-init"
_HOOKS = {
    "pre-commit": "git annex pre-commit .",
    "post-checkout": "git annex smudge --update",
    "post-merge": "git annex smudge --update",
    "post-receive": (
        "if git annex post-receive --help >/dev/null 2>&1; then git annex post-receive; fi"
    ),
}
_FILTER = b"""[filter "annex"]
\tsmudge = git-annex smudge -- %f
\tclean = git-annex smudge --clean -- %f
\tprocess = git-annex filter-process
"""


def describe(path: str, home: str) -> bytes:
    """The description that git-annex gives by default: ``user@host:~/dir``."""
    home = os.path.realpath(home)
    if path == home or path.startswith(home.rstrip("/") + "/"):
        path = "~" + path[len(home.rstrip("/")) :]
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    text = os.fsencode(f"{user}@{os.uname().nodename}:{path}")
    return text.replace(b"\n", b"\\n")


def initialise(
    repository: Repository, description: bytes, clock: bytes | None = None
) -> Repository:
    """Make an annex of ``repository``, and return it as it is then.

    Raises RepositoryBusy, Unsupported where the operator must run git annex init, and
    InitializationFailed; nothing is lost by trying again after any of them.
    """
    _check_possible(repository)
    sharing = Sharing.parse(repository.config.get("core.sharedrepository"))
    try:
        with identity_lock(repository):
            now = repository.reread()
            if not now.uuid:
                _initialise_locked(now, description, clock, sharing)
            return repository.reread()
    except ShellError:
        raise
    except AnnexshellError as error:
        raise InitializationFailed(path=repository.path, detail=error) from error
    except OSError as error:
        detail = f"{error.filename or ''}: {error.strerror}"
        raise InitializationFailed(path=repository.path, detail=detail) from error


def identity_lock(repository: Repository) -> FileLock:
    """Whoever gives a repository its uuid, or its gcrypt id, holds this.

    Raises RepositoryBusy and OSError.
    """
    sharing = Sharing.parse(repository.config.get("core.sharedrepository"))
    sharing.make_directories(repository.annex_dir, repository.common_dir)
    try:
        path = _pending_file(repository) + ".lck"
        lock = locks_of(repository).wait_lock(path, exclusive=True)
    except LockTimeout as error:
        raise RepositoryBusy(where=repository.path, detail=error) from error
    sharing.share(lock.path)
    return lock


def _check_possible(repository: Repository) -> None:
    """Refuse what would need programs of the operator's, or could not be served after."""
    config, path = repository.config, repository.path
    hook = os.path.join(repository.common_dir, "hooks", "pre-init-annex")
    if config.get("annex.pre-init-command") or os.access(hook, os.X_OK):
        raise Unsupported(setting="a pre-init-annex hook in autoinit", path=path)


def _initialise_locked(
    repository: Repository, description: bytes, clock: bytes | None, sharing: Sharing
) -> None:
    uuid = _pending_uuid(repository)
    branch = Branch(repository, None if clock is None else parse_clock(clock))
    branch.create()
    _check_untuned(repository, branch)
    if not repository.config.boolean("annex.private", False):
        _describe_on(branch, uuid, description, clock)
    _make_sentinal(repository.annex_dir, sharing)
    with_filter = not repository.bare and shutil.which("git-annex") is not None
    if with_filter:
        _make_attributes(repository.common_dir)
        _make_hooks(repository)

    def addition() -> bytes | None:
        now = repository.reread()
        if now.uuid:
            return None
        text = _settings(now, branch, uuid)
        has_filter = now.config.get("filter.annex.smudge") is not None
        return text + _FILTER if with_filter and not has_filter else text

    amend_config(os.path.join(repository.common_dir, "config"), addition)
    os.unlink(_pending_file(repository))


def _check_untuned(repository: Repository, branch: Branch) -> None:
    # A clone of a tuned repository has other hash directories in its logs and objects.
    if branch.read(b"difference.log").strip():
        raise Unsupported(
            setting="difference.log (annex.tune.*) in autoinit", path=repository.path
        )


def _describe_on(
    branch: Branch, uuid: UUID, description: bytes, clock: bytes | None
) -> None:
    given = None if clock is None else parse_clock(clock)
    now = clock_now() if given is None else given

    def edit(old: bytes) -> bytes | None:
        if uuid in descriptions(old):
            return None
        return with_description(old, uuid, description, now)

    branch.change(b"uuid.log", uuid, edit)


def _settings(repository: Repository, branch: Branch, uuid: UUID) -> bytes:
    """The [annex] section, with what config.log asks every repository to set."""
    text = b"[annex]\n\tuuid = " + uuid + b"\n\tversion = " + VERSION + b"\n"
    shared = parse_map(branch.read(b"config.log"), Form.NEW)
    secure = shared.get(b"annex.securehashesonly")
    if secure is None or repository.config.get("annex.securehashesonly") is not None:
        return text
    wanted = as_boolean(os.fsdecode(secure.value), False)
    return text + b"\tsecurehashesonly = true\n" if wanted else text


def _pending_file(repository: Repository) -> str:
    return os.path.join(repository.annex_dir, _PENDING)


def _pending_uuid(repository: Repository) -> UUID:
    """The uuid that an earlier attempt chose, or a new one, written down first."""
    path = _pending_file(repository)
    try:
        with open(path, "rb") as text:
            chosen = text.read(100).strip()
        if looks_like_uuid(chosen):
            return UUID(chosen)
    except FileNotFoundError:
        pass  # the usual case: this is the first attempt
    import uuid

    chosen = str(uuid.uuid4()).encode()
    temporary = path + ".tmp"
    with open(temporary, "wb") as new:
        new.write(chosen + b"\n")
        new.flush()
        os.fsync(new.fileno())
    os.rename(temporary, path)
    return UUID(chosen)


def _make_sentinal(annex_dir: str, sharing: Sharing) -> None:
    """The file whose inode tells git-annex later whether inodes have changed."""
    path = os.path.join(annex_dir, "sentinal")
    if os.path.lexists(path + ".cache"):
        return
    with open(path, "ab"):
        sharing.share(path)
    now = os.lstat(path)
    seconds, fraction = divmod(now.st_mtime_ns, 10**9)
    temporary = path + ".cache.annexshell"
    with open(temporary, "w", encoding="ascii") as new:
        new.write(f"{now.st_ino} {now.st_size} {seconds} {fraction}")
    sharing.share(temporary)
    os.rename(temporary, path + ".cache")


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


def _make_hooks(repository: Repository) -> None:
    """git-annex's hooks; what is there already is never replaced.

    Left alone where core.hooksPath leads out of the repository: others may share it.
    """
    if repository.config.get("core.hookspath") is not None:
        return
    hooks = os.path.join(repository.common_dir, "hooks")
    os.makedirs(hooks, exist_ok=True)
    for name, command in _HOOKS.items():
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
