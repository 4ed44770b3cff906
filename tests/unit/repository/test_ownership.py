"""Hooks and commands of another user's repository are not run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.repository import ownership
from annexshell.repository.config import read_config
from annexshell.repository.hooks import Hooks
from annexshell.repository.identity import tell_updated
from annexshell.repository.open import open_repository
from annexshell.repository.ownership import may_run_programs_of
from tests.support.shell import git, make_annex


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that belongs to somebody else, with programs of theirs."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = make_annex(tmp_path.resolve() / "r.git")
    git("-C", path, "config", "annex.freezecontent-command", f"touch {path}/ran")
    git("-C", path, "config", "annex.post-update-command", f"touch {path}/ran")
    git("-C", path, "config", "safe.directory", "*")
    script = path / "hooks" / "thawcontent-annex"
    script.write_text(f"#!/bin/sh\ntouch {path}/ran\n")
    script.chmod(0o755)
    stranger = os.geteuid() + 12345
    monkeypatch.setattr(ownership, "owners_of", lambda git_dir: {0, stranger})
    return path


def run_all(path: Path) -> bool:
    """Whether any program of the repository was run."""
    hooks = Hooks(str(path), read_config(str(path)))
    hooks.thaw("x")
    hooks.freeze("x")
    tell_updated(open_repository(str(path)))
    return (path / "ran").exists()


def test_another_users_programs_are_not_run(foreign: Path) -> None:
    assert not run_all(foreign)


def test_our_own_are_run(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert run_all(foreign)
    assert ownership.owners_of(str(foreign)) == {os.geteuid()}


@pytest.mark.parametrize(
    ("listed", "safe"),
    [
        (["*"], True),
        (["/elsewhere", "HERE"], True),
        (["/elsewhere"], False),
        (["*", ""], False),
        (["", "HERE"], True),
    ],
)
def test_the_account_may_call_it_safe(
    foreign: Path, listed: list[str], safe: bool
) -> None:
    text = "".join(f'\tdirectory = "{x}"\n' for x in listed)
    own = foreign.parent / ".gitconfig"
    own.write_text("[safe]\n" + text.replace("HERE", str(foreign)))
    assert may_run_programs_of(str(foreign)) is safe
