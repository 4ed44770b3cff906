"""The table of commands: what refuses each, and that each can be loaded."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from annexshell.cli.commands import COMMANDS, help_text, usage
from annexshell.errors import BlockedBy
from annexshell.policy.restrictions import Restrictions


@pytest.mark.parametrize("name", ["recvkey", "dropkey", "gcryptsetup"])
def test_read_only_blocks_what_writes(name: str) -> None:
    with pytest.raises(BlockedBy, match="GIT_ANNEX_SHELL_READONLY"):
        COMMANDS[name].check(Restrictions(read_only=True, append_only=True))


@pytest.mark.parametrize("name", ["dropkey", "gcryptsetup"])
def test_append_only_blocks_what_removes(name: str) -> None:
    with pytest.raises(BlockedBy, match="GIT_ANNEX_SHELL_APPENDONLY"):
        COMMANDS[name].check(Restrictions(append_only=True))


def test_the_rest_is_decided_later() -> None:
    for name in COMMANDS.keys() - {"recvkey", "dropkey", "gcryptsetup"}:
        COMMANDS[name].check(Restrictions(read_only=True, append_only=True))
    COMMANDS["recvkey"].check(Restrictions(append_only=True))


def test_every_module_exists_and_is_explained() -> None:
    for name, command in COMMANDS.items():
        assert find_spec(command.module) is not None
        assert name in usage()
        assert command.usage in help_text(name)
