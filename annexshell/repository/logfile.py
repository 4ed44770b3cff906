"""A file that an operator asked for, and that lines are appended to.

Where it is comes from git config, and so from the repository that is served. What is
written must therefore stay harmless in two ways: a repository of somebody else's must not
make us write to files of this account, and nothing that goes wrong here may disturb what
the line is about. Light: one-shot commands use it too.
"""

from __future__ import annotations

import os
import stat

from annexshell.repository.errors import LogUnusable
from annexshell.repository.gitprocess import GitFailed, git_output
from annexshell.repository.open import Repository

_OPEN = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO without a reader is an error then, instead of a wait; a terminal stays a file.
_OPEN |= os.O_NONBLOCK | os.O_NOCTTY
_CREATE = _OPEN | os.O_CREAT | os.O_EXCL
_PRIVATE = 0o600
_OURS = "annexshell"
"""What a name inside a git directory begins with, so that it is none of git's."""


class LogFile:
    """``path``, opened anew for each line: a rotated file is left at once."""

    def __init__(self, setting: str, path: str, mode: int) -> None:
        self.setting = setting
        self.path = path
        self.refused = ""
        """Why nothing is written at all."""
        self._mode = mode
        self._told = False

    def append(self, line: bytes) -> bool:
        """Add ``line`` in one write; whether all of it was written. Never raises OSError.

        The first failure of a session is a warning.
        """
        try:
            if self.refused:
                raise OSError(0, self.refused)
            fd = self._open()
            try:
                _write(fd, line)
            finally:
                os.close(fd)
        except OSError as error:
            self._complain(error)
            return False
        return True

    def _open(self) -> int:
        fd = self._open_or_create()
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(0, "it is not a regular file")
        return fd

    def _open_or_create(self) -> int:
        try:
            return os.open(self.path, _OPEN)
        except FileNotFoundError:
            pass  # the first line, or the first after a rotation
        try:
            fd = os.open(self.path, _CREATE, _PRIVATE)
        except FileExistsError:
            return os.open(self.path, _OPEN)  # another session was faster
        if self._mode != _PRIVATE:
            os.fchmod(fd, self._mode)
        return fd

    def _complain(self, error: OSError) -> None:
        if self._told:
            return
        self._told = True
        import logging  # a session that can write does without

        failure = LogUnusable(
            setting=self.setting, path=self.path, detail=error.strerror
        )
        logging.getLogger(__name__).warning("%s", failure)


def configured(repository: Repository, setting: str) -> LogFile | None:
    """The file that ``setting`` names, None where it is not set, or set to nothing.

    A relative path is one in the git directory. In a repository that belongs to somebody
    who may not run programs as us, only an absolute path counts, and only from the
    account's own or the system's config: its owner can neither choose a file nor switch
    the account's own off.
    """
    if not repository.config.all(setting):
        return None
    try:
        return _configured(repository, setting)
    except OSError as error:
        found = LogFile(setting, repository.common_dir, _PRIVATE)
        found.refused = error.strerror or str(error)
        return found


def _configured(repository: Repository, setting: str) -> LogFile | None:
    from annexshell.repository.modes import Sharing
    from annexshell.repository.ownership import is_trusted

    trusted = is_trusted(repository.common_dir)
    named = repository.config.get(setting) or ""
    value = os.path.expanduser(named if trusted else _outside(setting))
    if not value and (trusted or not named):
        return None
    path = _real(os.path.join(repository.common_dir, value))
    sharing = Sharing.parse(repository.config.get("core.sharedrepository"))
    # Of what the repository shares only the group: names of files are in it.
    mode = _PRIVATE | (sharing.file_mode(_PRIVATE) & 0o060)
    found = LogFile(setting, path, mode)
    if trusted or os.path.isabs(value):
        found.refused = _refusal(path, repository)
    else:
        found.refused = (
            "the repository is another user's; set an absolute path in this account's"
            " git config"
        )
    return found


def _outside(setting: str) -> str:
    """What the account's and the system's config say, without the repository's."""
    try:
        text = git_output(os.devnull, "config", "--null", "--get", setting)
    except GitFailed:
        return ""
    return os.fsdecode(text.removesuffix(b"\0"))


def _real(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def _refusal(path: str, repository: Repository) -> str:
    """Why no line may be added there; empty if it may.

    A git directory holds files that a line more would break. What is in a work tree can be
    changed, and fetched, by clients.
    """
    common = os.path.realpath(repository.common_dir)
    if _is_inside(path, common):
        first = os.path.relpath(path, common).split("/")[0]
        if first.startswith(_OURS):
            return ""
        return f"inside the git directory the name must begin with {_OURS}"
    tree = repository.work_tree
    if tree is not None and _is_inside(path, os.path.realpath(tree)):
        return "it must not be in the work tree"
    return ""


def _is_inside(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


def _write(fd: int, line: bytes) -> None:
    written = os.write(fd, line)
    if written == len(line):
        return
    # The disk is full. What came half is taken back, unless somebody wrote behind it.
    end = os.lseek(fd, 0, os.SEEK_CUR)
    if os.fstat(fd).st_size == end:
        os.ftruncate(fd, end - written)
    raise OSError(0, "only a part of a line could be written")
