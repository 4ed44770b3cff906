"""The environment is read once, and then no child sees what would mislead it."""

from __future__ import annotations

import subprocess

from annexshell.cli.environment import Surroundings, take_surroundings
from annexshell.policy.restrictions import Restrictions
from annexshell.repository.gitprocess import misleads


def test_everything_is_taken() -> None:
    environ = {
        "HOME": "/home/u",
        "PATH": "/bin",
        "GIT_PROTOCOL": "version=2",
        "GIT_ANNEX_VECTOR_CLOCK": "1s",
        "SSH_CONNECTION": "a 1 b 2",
        "ANNEXSHELL_USER": "ann",
        "ANNEXSHELL_DIRECTORY_BELOW": "/srv",
        "GIT_ANNEX_SHELL_READONLY": "1",
        "GIT_ANNEX_SHELL_DIRECTORY": "~/r",
        "GIT_DIR": "/other",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "annex.uuid",
    }
    found = take_surroundings(environ)
    assert found == Surroundings(
        home="/home/u",
        restrictions=Restrictions(read_only=True, directory="~/r", below="/srv"),
        user="ann",
        connection="a 1 b 2",
        clock=b"1s",
    )
    assert set(environ) == {
        "HOME",
        "PATH",
        "GIT_PROTOCOL",
        "GIT_ANNEX_VECTOR_CLOCK",
        "SSH_CONNECTION",
    }


def test_what_git_calls_local_to_a_repository_misleads() -> None:
    listed = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], check=True, capture_output=True
    )
    names = listed.stdout.decode().split()
    assert "GIT_DIR" in names
    assert [name for name in names if not misleads(name)] == []


def test_a_missing_home_is_looked_up() -> None:
    assert take_surroundings({}).home.startswith("/")
