"""Another user's repository is not set up: links there would lead to our files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from annexshell.repository import ownership
from annexshell.repository.errors import SetUpByOwner
from annexshell.repository.initialise import identity_lock, initialise
from annexshell.repository.open import open_repository
from annexshell.repository.probing import Abilities, probe
from tests.support.shell import git, write_identity


@pytest.fixture
def victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of ours with a file in it."""
    write_identity(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / "ours"
    place.mkdir()
    (place / "file").write_text("precious")
    return place


def make(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    git("init", "-q", "--bare", path)
    (path / "annex").mkdir()
    stranger = os.geteuid() + 12345
    monkeypatch.setattr(ownership, "owners_of", lambda git_dir: {stranger})
    return path.resolve()


@pytest.mark.parametrize(
    ("planted", "target"),
    [
        ("annexshell-probe", ""),
        ("annexshell-init.tmp", "file"),
        ("sentinal.cache.annexshell", "file"),
        ("sentinal", "new"),
    ],
)
def test_links_are_not_followed(
    victim: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    planted: str,
    target: str,
) -> None:
    path = make(tmp_path / "r.git", monkeypatch)
    (path / "annex" / planted).symlink_to(victim / target)
    with pytest.raises(SetUpByOwner, match="another user's"):
        initialise(open_repository(str(path)), b"here")
    assert os.listdir(victim) == ["file"]
    assert (victim / "file").read_text() == "precious"
    assert os.listdir(path / "annex") == [planted]


def test_nor_are_those_of_git_config(
    victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "r.git", monkeypatch)
    with pytest.raises(SetUpByOwner):
        identity_lock(open_repository(str(path)))
    assert os.listdir(path / "annex") == []


def test_who_is_trusted_may_be_set_up(
    victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "r.git", monkeypatch)
    with (tmp_path / ".gitconfig").open("a") as text:
        text.write(f"[safe]\n\tdirectory = {path}\n")
    assert initialise(open_repository(str(path)), b"here").uuid


@pytest.mark.parametrize("made", [Path.mkdir, None])
def test_what_is_left_of_a_probe_is_removed_where_it_is(
    victim: Path, tmp_path: Path, made: Callable[[Path], None] | None
) -> None:
    left = tmp_path / "annexshell-probe"
    left.symlink_to(victim) if made is None else made(left)
    assert probe(str(tmp_path)) == Abilities(True, True, True, True)
    assert os.listdir(victim) == ["file"]
    assert not os.path.lexists(left)
