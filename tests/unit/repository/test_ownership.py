"""Hooks and commands of another user's repository are not run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.errors import NotARepository
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


def test_a_link_in_its_place_is_nobodys(tmp_path: Path) -> None:
    # Whose config was read before is not known any more.
    ours = make_annex(tmp_path.resolve() / "ours.git")
    named = tmp_path.resolve() / "r.git"
    named.symlink_to(ours)
    assert ownership.owners_of(str(named)) == {os.geteuid(), ownership.NOBODY}
    assert not may_run_programs_of(str(named))


def test_so_is_one_on_the_way_there(tmp_path: Path) -> None:
    ours = make_annex(tmp_path.resolve() / "here" / "r.git")
    (tmp_path / "there").symlink_to("here")
    assert may_run_programs_of(str(ours))
    assert not may_run_programs_of(f"{tmp_path.resolve()}/there/r.git")


def test_a_directory_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        may_run_programs_of(str(tmp_path / "gone"))


def lead(path: Path, common: Path) -> Path:
    """A git directory at ``path`` that calls itself a linked worktree of ``common``."""
    path.mkdir(parents=True)
    (path / "HEAD").write_text("ref: refs/heads/main\n")
    (path / "commondir").write_text(f"{common}\n")
    (path / "gitdir").write_text(f"{path}/tree/.git\n")
    return path


@pytest.mark.parametrize("inside", [True, False])
def test_a_stranger_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    ours = make_annex(tmp_path.resolve() / "r", bare=False) / ".git"
    theirs = lead((ours / "worktrees/x" if inside else tmp_path.resolve() / "x"), ours)
    assert open_repository(str(theirs)).common_dir == str(ours)
    stranger = os.geteuid() + 12345
    monkeypatch.setattr(ownership, "owners_of", lambda git_dir: {stranger})
    if inside:
        assert open_repository(str(theirs)).common_dir == str(ours)
    else:
        with pytest.raises(NotARepository):
            open_repository(str(theirs))
