"""What git said about a config is said again only while git itself would."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from annexshell.repository import keptconfig
from annexshell.repository.config import ask_git
from annexshell.repository.gitprocess import GitFailed
from annexshell.repository.keptconfig import MOST, KeptConfigs
from tests.support.shell import git

LONG_AGO = 10_000_000_000


@pytest.fixture(autouse=True)
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """All files were written long ago."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + LONG_AGO)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path.resolve() / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    for name in os.environ:
        if name.startswith("GIT_") or name == "XDG_CONFIG_HOME":
            monkeypatch.delenv(name)
    return path


@pytest.fixture
def repo(home: Path) -> Path:
    path = home / "r.git"
    git("init", "--quiet", "--bare", path)
    return path


class Asked:
    """Counts how often git is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(keptconfig, "ask_git", self._ask)

    def _ask(self, git_dir: str) -> bytes:
        self.count += 1
        return ask_git(git_dir)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def learned(repo: Path) -> KeptConfigs:
    """With the answer for a repository, if that may be kept."""
    configs = KeptConfigs()
    for _ in range(2):  # the first learns where the system's config is
        configs.answer(str(repo))
    return configs


def test_the_answer_is_gits_and_git_is_not_asked_again(
    repo: Path, asked: Asked
) -> None:
    git("-C", repo, "config", "some.thing", "one\ntwo")
    configs = learned(repo)
    assert asked.count == 2
    assert configs.answer(str(repo)) == ask_git(str(repo))
    assert asked.count == 2


def test_what_one_learned_others_are_told(repo: Path, asked: Asked) -> None:
    other = KeptConfigs()
    first = KeptConfigs(other.told)
    for _ in range(2):
        first.answer(str(repo))
    assert other.answer(str(repo)) == ask_git(str(repo))
    assert asked.count == 2


def _replace(path: Path) -> None:
    text, found = path.read_bytes(), path.stat()
    path.rename(path.with_suffix(".old"))
    path.write_bytes(text)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    ["own", "user", "xdg", "same size", "replaced", "mode", "head", "commondir"],
)
def test_any_change_has_git_asked(repo: Path, change: str, asked: Asked) -> None:
    configs = learned(repo)
    config, head = repo / "config", repo / "HEAD"
    if change == "own":
        git("-C", repo, "config", "annexshell.warm", "false")
    elif change == "user":
        (repo.parent / ".gitconfig").write_text("[some]\n\tthing = 1\n")
    elif change == "xdg":
        (repo.parent / ".config/git").mkdir(parents=True)
        (repo.parent / ".config/git/config").write_text("[some]\n\tthing = 1\n")
    elif change == "same size":
        found = config.stat()
        config.write_text(config.read_text().replace("true", "TRUE"))
        os.utime(config, ns=(found.st_atime_ns, found.st_mtime_ns))
    elif change == "replaced":
        _replace(config)
    elif change == "mode":
        repo.joinpath("refs").chmod(0o700)
        assert stat.S_IMODE(repo.joinpath("refs").stat().st_mode) == 0o700
    elif change == "head":
        head.write_text("nonsense\n")
    else:
        (repo / "commondir").write_text(".\n")
    before = asked.count
    assert configs.answer(str(repo)) == ask_git(str(repo))
    assert asked.count == before + 1


@pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME", "GIT_TRACE"])
def test_another_environment_has_git_asked(
    repo: Path, tmp_path: Path, variable: str, asked: Asked
) -> None:
    configs = learned(repo)
    value = "0" if variable == "GIT_TRACE" else str(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        configs.answer(str(repo))
    assert asked.count == 3


def test_another_git_has_git_asked(
    repo: Path, tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = learned(repo)
    program = tmp_path / "git"
    program.write_text(f'#!/bin/sh\nPATH={os.environ["PATH"]}\nexec git "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    configs.answer(str(repo))
    assert asked.count == 3


@pytest.mark.parametrize(
    "name, value",
    [
        ("include.path", "/nowhere"),
        ("includeIf.gitdir:/.path", "/nowhere"),
        ("extensions.worktreeConfig", "true"),
        ("some.thing", "x" * keptconfig.LONGEST),
    ],
)
def test_some_are_never_kept(repo: Path, name: str, value: str, asked: Asked) -> None:
    git("-C", repo, "config", name, value)
    configs = learned(repo)
    assert configs.answer(str(repo)) == ask_git(str(repo))
    assert asked.count == 3


def test_what_was_just_written_is_not_kept(
    repo: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = (repo / "config").stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: written)
    configs = learned(repo)
    configs.answer(str(repo))
    assert asked.count == 3


def test_a_failure_is_gits_and_is_not_kept(repo: Path, asked: Asked) -> None:
    (repo / "config").write_text("[broken\n")
    configs = KeptConfigs()
    for _ in range(3):
        with pytest.raises(GitFailed):
            configs.answer(str(repo))
    assert asked.count == 3


@pytest.mark.thorough
def test_no_more_than_so_many(repo: Path, asked: Asked) -> None:
    configs = learned(repo)
    for number in range(MOST):
        link = repo.parent / str(number)
        git("init", "--quiet", "--bare", link)
        configs.answer(str(link))
    before = asked.count
    configs.answer(str(link))
    assert asked.count == before
    configs.answer(str(repo))
    assert asked.count == before + 1
