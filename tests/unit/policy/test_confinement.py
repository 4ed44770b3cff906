"""Confinement by what the paths lead to, not by how they are spelled (spec 01 §1.5)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.errors import NoSuchRepository, OnlyAllowedTo
from annexshell.policy.directory import confine
from annexshell.policy.restrictions import Restrictions
from annexshell.repository.open import resolve


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """``home`` with r, s and r2, beside ``srv`` with the same."""
    for top in ("home", "srv"):
        for name in ("r", "s", "r2", "r/.git", "r/sub"):
            (tmp_path / top / name).mkdir(parents=True)
    return tmp_path.resolve() / "home"


def ask(
    home: Path, asked: str, allowed: str | None = None, below: str | None = None
) -> str:
    restrictions = Restrictions(directory=allowed, below=below)
    return confine(restrictions, asked, lambda text: resolve(text, str(home)))


@pytest.mark.parametrize("asked", ["r", "r/", ".//r", "./r", "q/../r", "s/../r"])
@pytest.mark.parametrize("allowed", ["r", "../srv/r"])
def test_the_same_directory_by_any_spelling(
    home: Path, allowed: str, asked: str
) -> None:
    top = home if allowed == "r" else home.parent / "srv"
    assert ask(home, f"{top}/{asked}", allowed) == str(top / "r")


@pytest.mark.parametrize("asked", ["~/r", "/~/r", "r", "~/./r", "~/s/../r"])
def test_home_relative_spellings(home: Path, asked: str) -> None:
    assert ask(home, asked, "~/r") == str(home / "r")


@pytest.mark.parametrize(
    "asked", ["", "~", "s", "r2", "r/sub", "r/.git", "/", "..", "../srv/r", "none"]
)
def test_any_other_directory_is_refused(home: Path, asked: str) -> None:
    with pytest.raises(OnlyAllowedTo, match="Only allowed to access ~/r not"):
        ask(home, asked, "~/r")


def test_a_symlink_to_the_allowed_directory_is_that_directory(home: Path) -> None:
    (home / "link").symlink_to("r")
    assert ask(home, "link", "r") == str(home / "r")
    assert ask(home, "r", "link") == str(home / "r")


def test_a_symlink_out_is_refused(home: Path) -> None:
    (home / "r3").symlink_to(home.parent / "srv" / "r")
    with pytest.raises(OnlyAllowedTo):
        ask(home, "r3", "r")


def test_a_symlink_and_dots_do_not_escape(home: Path) -> None:
    (home / "link").symlink_to(home.parent / "srv" / "s")
    # By its text this is home/r; what the kernel opens is srv/r.
    assert os.path.samefile(home / "link/../r", home.parent / "srv/r")
    with pytest.raises(OnlyAllowedTo):
        ask(home, f"{home}/link/../r", f"{home}/r")


def test_an_empty_allowed_text_means_home(home: Path) -> None:
    assert ask(home, "~", "") == str(home)
    with pytest.raises(OnlyAllowedTo, match="access ~ not"):
        ask(home, "r", "")


def test_an_allowed_directory_that_does_not_exist_allows_nothing(home: Path) -> None:
    with pytest.raises(OnlyAllowedTo):
        ask(home, "r", "gone")
    with pytest.raises(NoSuchRepository):
        ask(home, "gone", "gone")


@pytest.mark.parametrize("asked", ["r", "r/sub", "r/.git", "s/../r"])
def test_below_holds_the_directory_and_what_is_in_it(home: Path, asked: str) -> None:
    assert ask(home, asked, below="r") == str((home / asked).resolve())


@pytest.mark.parametrize("asked", ["r2", "~", "s", "r/../s", "../srv/r", "r/none"])
def test_below_holds_nothing_else(home: Path, asked: str) -> None:
    with pytest.raises(OnlyAllowedTo, match="what is below r"):
        ask(home, asked, below="r")


def test_below_follows_links_before_it_compares(home: Path) -> None:
    (home / "r" / "out").symlink_to(home / "s")
    with pytest.raises(OnlyAllowedTo):
        ask(home, "r/out", below="r")


def test_below_the_root_is_everything(home: Path) -> None:
    assert ask(home, "r", below="/") == str(home / "r")


def test_both_must_allow(home: Path) -> None:
    assert ask(home, "r", "r", below="~") == str(home / "r")
    with pytest.raises(OnlyAllowedTo):
        ask(home, "r", "r", below="s")
    with pytest.raises(OnlyAllowedTo):
        ask(home, "s", "r", below="~")


def test_without_restrictions_everything_is_resolved(home: Path) -> None:
    assert ask(home, "r") == str(home / "r")
    with pytest.raises(NoSuchRepository):
        ask(home, "none")
