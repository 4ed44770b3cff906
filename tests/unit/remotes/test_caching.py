"""Shared ssh connections: who may use the socket, and who stops the master."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.remotes.caching import share
from annexshell.remotes.recipes import SshHost
from annexshell.repository.filelock import holder_of, try_lock
from annexshell.repository.open import Repository
from tests.support.content import make_repository

HOST = SshHost("host", "/srv/n1")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    # Paths of sockets are short; pytest's are not.
    monkeypatch.chdir(tmp_path)
    return make_repository(tmp_path / "r")


def test_the_last_user_stops_the_master(repository: Repository) -> None:
    first, second = share(repository, HOST), share(repository, HOST)
    assert first is not None and second is not None
    assert first.socket == second.socket
    Path(first.socket).touch()
    assert first.stop_command() is None
    command = second.stop_command()
    assert command is not None and command[:4] == ["ssh", "-O", "stop", "-S"]
    assert command[4] == os.path.basename(second.socket) and "/" not in command[4]
    # While it is stopped nobody may come to rely on it.
    assert try_lock(second.socket + ".lock", exclusive=False) is None
    second.close()
    assert holder_of(second.socket + ".lock") is None


def test_there_is_nothing_to_stop_where_no_master_is(repository: Repository) -> None:
    shared = share(repository, HOST)
    assert shared is not None
    assert shared.stop_command() is None
    assert holder_of(shared.socket + ".lock") is None


def test_a_master_that_git_annex_uses_is_not_stopped(repository: Repository) -> None:
    shared = share(repository, HOST)
    assert shared is not None
    Path(shared.socket).touch()
    theirs = try_lock(shared.socket + ".lock", exclusive=False)
    assert theirs is not None
    with theirs:
        assert shared.stop_command() is None


@pytest.mark.parametrize(
    "setting", [{"annex_sshcaching": "false"}, {"annex_crippledfilesystem": "true"}]
)
def test_settings_that_switch_sharing_off(
    tmp_path: Path, setting: dict[str, str]
) -> None:
    repository = make_repository(
        tmp_path / "r",
        version="10",
        bare=True,
        **setting,  # type: ignore[arg-type]
    )
    assert share(repository, HOST) is None


def test_a_directory_that_cannot_be_written_only_costs_the_sharing(
    repository: Repository,
) -> None:
    Path(repository.annex_dir, "ssh").write_text("a file is in the way")
    assert share(repository, HOST) is None
