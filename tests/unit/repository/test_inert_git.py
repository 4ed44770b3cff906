"""git runs nothing that the config of the repository it reads names.

Owners of other repositories on the machine write such config, and git would run it as us.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.errors import NestedRepository
from annexshell.repository.associated import Associated
from annexshell.repository.content import Content
from annexshell.repository.git import Git
from annexshell.repository.gitprocess import GitFailed, git_output
from annexshell.repository.modes import Sharing
from annexshell.repository.open import find_git_dir, open_repository
from tests.support.content import HELLO, make_repository, sha256_key
from tests.support.shell import git
from tests.support.unlocked import add_unlocked

KEY = sha256_key(HELLO)


class Trap:
    """A program that leaves a trace, and does as it is asked when called by git."""

    def __init__(self, top: Path) -> None:
        self.trace = top / "ran"
        self.path = top / "trap"
        self.path.write_text(
            f"#!/bin/sh\necho \"$0 $*\" >> '{self.trace}'\nprintf 'token\\0/\\0'\n"
        )
        self.path.chmod(0o755)

    @property
    def sprung(self) -> bool:
        found = self.trace.exists()
        self.trace.unlink(missing_ok=True)
        return found


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path)


def watch_by(trap: Trap, path: Path) -> None:
    """Have git ask the trap which files changed, whenever it reads the index."""
    git("-C", path, "config", "core.fsmonitor", str(trap.path))
    git("-C", path, "update-index", "--fsmonitor")
    git("-C", path, "status")
    assert trap.sprung


def fetch_by(trap: Trap, path: Path) -> None:
    """Have git fetch missing objects from a remote, where the trap is upload-pack."""
    for name, value in {
        "extensions.partialClone": "o",
        "remote.o.promisor": "true",
        "remote.o.url": str(path / "nowhere"),
        "remote.o.uploadpack": str(trap.path),
    }.items():
        git("-C", path, "config", name, value)


def test_looking_for_unlocked_files(tmp_path: Path, trap: Trap) -> None:
    made = make_repository(tmp_path / "r", bare=False)
    add_unlocked(made, "file", KEY)
    watch_by(trap, tmp_path / "r")
    repository = open_repository(made.path)
    found = Associated(Content(repository).annex).of(KEY)
    assert found.unlocked == [b"file"]
    assert not trap.sprung


def test_asking_a_surrounding_repository(tmp_path: Path, trap: Trap) -> None:
    top = tmp_path.resolve() / "around"
    git("init", "-q", top)
    git("init", "-q", "--bare", top / "inner")
    git("-C", top, "add", "-f", ".")
    watch_by(trap, top)
    with pytest.raises(NestedRepository):
        find_git_dir(str(top / "inner"))
    assert not trap.sprung


def test_a_missing_object_is_not_fetched(tmp_path: Path, trap: Trap) -> None:
    path = tmp_path / "r.git"
    git("init", "-q", "--bare", "--object-format=sha256", path)
    fetch_by(trap, path)
    (path / "refs/heads/git-annex").write_text("1" * 64 + "\n")
    where = Git(str(path), sharing=Sharing(), algorithm="sha256", in_process=False)
    with pytest.raises(Exception, match="is missing"):
        where.tip("refs/heads/git-annex")
    assert not trap.sprung


def test_not_for_a_command_that_reads_trees_either(tmp_path: Path, trap: Trap) -> None:
    path = tmp_path / "r"
    git("init", "-q", path)
    fetch_by(trap, path)
    with pytest.raises(GitFailed):
        git_output(str(path / ".git"), "diff-index", "--cached", "1" * 40)
    assert not trap.sprung


def test_older_git_does_not_fetch_either(
    tmp_path: Path, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They do not know GIT_NO_LAZY_FETCH; a wrapper keeps it from git here.
    real = git("--exec-path").strip() + "/git"
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nunset GIT_NO_LAZY_FETCH\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    test_not_for_a_command_that_reads_trees_either(tmp_path, trap)


def test_the_traps_work(tmp_path: Path, trap: Trap) -> None:
    path = tmp_path / "r"
    git("init", "-q", path)
    fetch_by(trap, path)
    with pytest.raises(Exception, match="diff-index"):
        git("-C", path, "diff-index", "--cached", "1" * 40)
    assert trap.sprung


def test_the_config_that_is_read_is_not_changed(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", bare=False)
    assert repository.config.get("core.hookspath") is None
    assert repository.config.get("core.fsmonitor") is None
