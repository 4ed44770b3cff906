"""Changing git's config in one step, with locks that crashes leave behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.errors import RepositoryBusy
from annexshell.repository import configfile
from annexshell.repository.configfile import amend_config
from tests.support.shell import git


@pytest.fixture
def config(tmp_path: Path) -> Path:
    git("init", "-q", "--bare", tmp_path / "r")
    return tmp_path / "r" / "config"


def get(config: Path, name: str) -> str:
    return git("config", "-f", config, name).strip()


def names(config: Path) -> set[str]:
    return {n for n in os.listdir(config.parent) if n.startswith("config")}


def test_the_addition_is_there_and_nothing_is_lost(config: Path) -> None:
    config.chmod(0o640)
    assert amend_config(str(config), lambda: b"[a]\n\tb = c\n")
    assert get(config, "a.b") == "c"
    assert get(config, "core.bare") == "true"
    assert config.stat().st_mode & 0o777 == 0o640
    assert names(config) == {"config"}


def test_a_last_line_without_its_end(config: Path) -> None:
    config.write_bytes(b"[x]\n\ty = z")
    amend_config(str(config), lambda: b"[a]\n\tb = c\n")
    assert (get(config, "x.y"), get(config, "a.b")) == ("z", "c")


def test_git_is_locked_out_meanwhile(config: Path) -> None:
    def addition() -> bytes:
        assert os.path.exists(f"{config}.lock")
        return b""

    amend_config(str(config), addition)


def test_no_addition_changes_nothing(config: Path) -> None:
    before = config.stat()
    assert not amend_config(str(config), lambda: None)
    assert config.stat().st_ino == before.st_ino
    assert names(config) == {"config"}


def test_a_failure_leaves_no_lock(config: Path) -> None:
    def addition() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        amend_config(str(config), addition)
    assert names(config) == {"config"}


def test_a_lock_that_our_crash_left_is_removed(config: Path) -> None:
    staging = Path(f"{config}.annexshell")
    staging.write_bytes(b"half")
    os.link(staging, f"{config}.lock")
    assert amend_config(str(config), lambda: b"[a]\n\tb = c\n")
    assert names(config) == {"config"}


def test_a_crash_after_the_change_does_not_harm_it(config: Path) -> None:
    # Killed between the rename and the removal: the staging name is the config itself.
    os.link(config, f"{config}.annexshell")
    assert amend_config(str(config), lambda: b"[a]\n\tb = c\n")
    assert get(config, "core.bare") == "true"
    assert get(config, "a.b") == "c"


def test_gits_own_lock_is_respected(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configfile, "_TIMEOUT", 0.0)
    lock = Path(f"{config}.lock")
    lock.write_bytes(b"git's")
    with pytest.raises(RepositoryBusy):
        amend_config(str(config), lambda: b"[a]\n")
    assert lock.read_bytes() == b"git's"
    assert names(config) == {"config", "config.lock"}


def test_a_symlinked_config_stays_one(config: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    config.rename(real)
    config.symlink_to(real)
    amend_config(str(config), lambda: b"[a]\n\tb = c\n")
    assert config.is_symlink()
    assert get(real, "a.b") == "c"
