"""Why no repository was found, and what the system's errors mean to a person."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from annexshell.errors import (
    AccessFailed,
    NoSuchRepository,
    NotARepository,
)
from annexshell.repository.missing import (
    CannotReach,
    DanglingLink,
    EmptyDirectory,
    GitMissing,
    InsideRepository,
    NotADirectory,
    why_missing,
    why_no_repository,
)
from annexshell.repository.open import locate, open_repository
from annexshell.repository.processes import described
from annexshell.repository.remedies import account, explained
from tests.support.shell import make_annex


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def test_what_lies_at_the_path(top: Path) -> None:
    (top / "file").write_text("")
    (top / "link").symlink_to("nowhere")
    (top / "loop").symlink_to("loop")
    assert type(why_missing(str(top / "none"))) is NoSuchRepository
    assert type(why_missing(str(top / "none/deeper"))) is NoSuchRepository
    assert isinstance(why_missing(str(top / "file")), NotADirectory)
    inside = why_missing(str(top / "file/deeper"))
    assert f"{top}/file is a file" in str(inside)
    for path in ("link", "link/deeper"):
        dangling = why_missing(str(top / path))
        assert isinstance(dangling, DanglingLink)
        assert f"{top}/nowhere" in str(dangling)
    assert isinstance(why_missing(str(top / "loop")), CannotReach)
    assert isinstance(why_missing(str(top)), CannotReach)


def test_what_lies_in_the_directory(top: Path) -> None:
    make_annex(top / "tree", bare=False)
    make_annex(top / "bare")
    (top / "tree/sub/deep").mkdir(parents=True)
    (top / "tree/sub/deep/file").write_text("")
    (top / "bare/annex/tmp").mkdir(parents=True)
    (top / "bare/annex/tmp/file").write_text("")
    (top / "mount").mkdir()
    assert isinstance(why_no_repository(str(top / "mount")), EmptyDirectory)
    (top / "mount/lost+found").mkdir()
    assert isinstance(why_no_repository(str(top / "mount")), EmptyDirectory)
    (top / "mount/file").write_text("")
    assert type(why_no_repository(str(top / "mount"))) is NotARepository
    for path, around in (("tree/sub/deep", "tree"), ("bare/annex/tmp", "bare")):
        found = why_no_repository(str(top / path))
        assert isinstance(found, InsideRepository)
        assert f"the one at {top / around};" in str(found)


@pytest.mark.skipif(os.getuid() == 0, reason="root may enter everything")
def test_what_may_not_be_entered(top: Path) -> None:
    make_annex(top / "closed/r.git")
    (top / "closed").chmod(0o600)
    try:
        with pytest.raises(CannotReach, match=f"let the account {account()} in"):
            locate(str(top / "closed/r.git"), "/")
    finally:
        (top / "closed").chmod(0o700)
    (top / "closed/r.git").chmod(0o600)
    try:
        with pytest.raises(AccessFailed, match=f"let the account {account()} in"):
            open_repository(str(top / "closed/r.git"))
    finally:
        (top / "closed/r.git").chmod(0o700)


def test_no_git_in_the_path(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_annex(top / "r.git")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(GitMissing, match=f"PATH of the account {account()}"):
        open_repository(str(top / "r.git"))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EDQUOT, f"quota of the account {account()}"),
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "remount it writable"),
        (errno.EACCES, "check owner and modes"),
        (errno.EIO, "see the kernel's log"),
        (errno.ESTALE, "mount its file system again"),
        (errno.EMFILE, "try again later"),
    ],
)
def test_what_to_do_about_an_error(code: int, said: str) -> None:
    text = explained(OSError(code, os.strerror(code)))
    assert text.startswith(os.strerror(code)) and said in text


def test_errors_that_say_nothing_more() -> None:
    assert explained(OSError(errno.EEXIST, "File exists")) == "File exists"
    assert explained(OSError("no such host")) == "no such host"


def test_a_process_is_described_by_its_command() -> None:
    argv = [sys.executable, "-c", "input()", "\x1b[2J"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        text = described(child.pid)
        assert text.startswith(f"process {child.pid} (") and "\x1b" not in text
    assert described(child.pid) == f"process {child.pid} (not running on this host)"
