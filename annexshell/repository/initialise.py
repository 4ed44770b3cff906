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

from annexshell.errors import (
    AnnexshellError,
    LockTimeout,
    RepositoryBusy,
    ShellError,
    Unsupported,
)
from annexshell.model.clock import clock_now, parse_clock
from annexshell.model.ids import UUID, looks_like_uuid
from annexshell.repository.branch import Branch
from annexshell.repository.configfile import amend_config
from annexshell.repository.errors import InitializationFailed, SetUpByOwner
from annexshell.repository.filelock import FileLock, locks_of
from annexshell.repository.firstlogs import FirstLogs
from annexshell.repository.githooks import FILTER, install
from annexshell.repository.identity import check_wanted
from annexshell.repository.modes import Sharing
from annexshell.repository.open import Repository
from annexshell.repository.ownership import is_trusted
from annexshell.repository.probing import Abilities, locks_work, probe
from annexshell.repository.remedies import explained

VERSION = b"10"
_PENDING = "annexshell-init"


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

    Raises RepositoryBusy, SetUpByOwner, Unsupported where the operator must run git annex
    init, and InitializationFailed; nothing is lost by trying again after any of them.
    """
    try:
        with identity_lock(repository):
            now = _lockable(repository.reread())
            if not now.uuid:
                _initialise_locked(now, description, clock)
            return repository.reread()
    except ShellError:
        raise
    except AnnexshellError as error:
        raise InitializationFailed(path=repository.path, detail=error) from error
    except OSError as error:
        detail = f"{error.filename or 'git config'}: {explained(error)}"
        raise InitializationFailed(path=repository.path, detail=detail) from error


def identity_lock(repository: Repository) -> FileLock:
    """Whoever gives a repository its uuid, or its gcrypt id, holds this.

    Raises SetUpByOwner, RepositoryBusy and OSError.
    """
    if not is_trusted(repository.common_dir):
        raise SetUpByOwner(path=repository.path)
    sharing = Sharing.parse(repository.config.get("core.sharedrepository"))
    sharing.make_directories(repository.annex_dir, repository.common_dir)
    try:
        path = _pending_file(repository) + ".lck"
        lock = locks_of(_lockable(repository)).wait_lock(path, exclusive=True)
    except LockTimeout as error:
        raise RepositoryBusy(where=repository.path, detail=error) from error
    sharing.share(lock.path)
    return lock


def _lockable(repository: Repository) -> Repository:
    """The repository with annex.pidlock where nothing else locks: from the start on."""
    if locks_work(_pending_file(repository) + ".lck"):
        return repository
    config = repository.config.adding("annex.pidlock", "true")
    return repository._replace(config=config)


def _initialise_locked(
    repository: Repository, description: bytes, clock: bytes | None
) -> None:
    check_wanted(repository)
    abilities = probe(repository.annex_dir)
    _check_able(repository, abilities)
    uuid = _pending_uuid(repository)
    given = None if clock is None else parse_clock(clock)
    # What is private is so from the first line on, so the branch must know who we are.
    config = repository.config.adding("annex.uuid", os.fsdecode(uuid))
    branch = Branch(repository._replace(config=config), given)
    logs = FirstLogs(branch, repository, uuid, clock_now() if given is None else given)
    tunes = logs.write(description)
    sharing = Sharing.parse(repository.config.get("core.sharedrepository"))
    _make_sentinal(repository.annex_dir, sharing)
    with_filter = install(repository)

    def addition() -> bytes | None:
        now = repository.reread()
        if now.uuid:
            return None
        text = _settings(now, uuid, logs, tunes, abilities)
        return text + FILTER if with_filter else text

    amend_config(os.path.join(repository.common_dir, "config"), addition)
    os.unlink(_pending_file(repository))


def _check_able(repository: Repository, abilities: Abilities) -> None:
    if abilities.crippled and not repository.bare:
        # git-annex checks out an adjusted branch then, in which all files are unlocked.
        raise Unsupported(
            setting="autoinit of a work tree on a crippled file system",
            path=repository.path,
        )


def _settings(
    repository: Repository,
    uuid: UUID,
    logs: FirstLogs,
    tunes: frozenset[str],
    abilities: Abilities,
) -> bytes:
    """What git's config gets, in one piece."""
    config = repository.config
    lines = [b"[annex]", b"\tuuid = " + uuid, b"\tversion = " + VERSION]
    if not abilities.fifos:
        lines.append(b"\tsshcaching = false")
    if not abilities.locks and not config.boolean("annex.pidlock", False):
        lines.append(b"\tpidlock = true")
    if abilities.crippled:
        lines.append(b"\tcrippledfilesystem = true")
    if logs.secure_hashes_only:
        lines.append(b"\tsecurehashesonly = true")
    if logs.distrusted:
        lines.append(b"\thardlink = true")
    new = [name for name in sorted(tunes) if not config.boolean(name, False)]
    if new:
        lines.append(b'[annex "tune"]')
        lines += [b"\t%b = true" % name.rpartition(".")[2].encode() for name in new]
    if not abilities.symlinks and config.boolean("core.symlinks", True):
        lines += [b"[core]", b"\tsymlinks = false"]
    return b"\n".join(lines) + b"\n"


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
