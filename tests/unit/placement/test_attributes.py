"""annex.numcopies of a file, by the installed git (spec 04 §6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.placement.attributes import attribute_numcopies
from annexshell.repository.gitprocess import GitFailed
from tests.support.repositories import Repo, plain_repo


@pytest.fixture(params=[False, True], ids=["work tree", "bare"])
def repo(tmp_path: Path, request: pytest.FixtureRequest) -> Repo:
    return plain_repo(tmp_path / "repo", bare=request.param)


def _write(repo: Repo, text: str) -> None:
    info = repo.annex_dir.parent / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text(text)


# As git-annex 10.20261026 reads them.
VALUES = (
    *(("annex.numcopies=3", 3), ("annex.numcopies=0x10", 16)),
    *(("annex.numcopies=0o7", 7), ("annex.numcopies=1x", 1)),
    *(("annex.numcopies=(3)", 3), ("annex.numcopies=3k", 3)),
    *(("annex.numcopies=0", 1), ("annex.numcopies=-1", 1)),
    *(("annex.numcopies=foo", None), ("annex.numcopies=1.5", None)),
    *(("annex.numcopies", None), ("-annex.numcopies", None)),
    *(("annex.numcopies=", None), ("annex.mincopies=3", None)),
)
NAMES = (
    *("-z", "--all", "--", ":(top)x", ":!x", "new\nline", "tab\t", 'quo"te', "*"),
    *("caf\u00e9", "\udcff", " ", "d/-z", "x\\y", ".git/x", "a/" * 3000 + "x"),
)
OUTSIDE = ("", "../x", "..", "../repo/x", "/x", "a\0b", "x" * 100_000)


def test_values(repo: Repo) -> None:
    opened = repo.open()
    for attribute, number in VALUES:
        _write(repo, f"*.x {attribute}\n")
        assert attribute_numcopies(opened, "d/file.x") == number, attribute
        assert attribute_numcopies(opened, "file.y") is None, attribute


def test_a_name_is_only_a_name(repo: Repo) -> None:
    _write(repo, "* annex.numcopies=4\n")
    opened = repo.open()
    for name in NAMES:
        assert attribute_numcopies(opened, name) == 4, name


def test_what_is_no_file_of_the_repository_has_none(repo: Repo) -> None:
    """git refuses these, which ends git-annex-shell; see docs/defects.md."""
    _write(repo, "* annex.numcopies=4\n")
    opened = repo.open()
    for name in OUTSIDE:
        assert attribute_numcopies(opened, name) is None, name


def test_attributes_of_the_work_tree_count_wherever_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = plain_repo(tmp_path / "repo", bare=False)
    inside = repo.path / "sub"
    inside.mkdir()
    (inside / ".gitattributes").write_text("*.x annex.numcopies=5\n")
    for place in (tmp_path, repo.path, inside, repo.path / ".git"):
        monkeypatch.chdir(place)
        assert attribute_numcopies(repo.open(), "sub/deep/a.x") == 5
        assert attribute_numcopies(repo.open(), "a.x") is None


def test_attributes_of_where_we_are_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = plain_repo(tmp_path / "repo", bare=True)
    (tmp_path / ".gitattributes").write_text("* annex.numcopies=5\n")
    monkeypatch.chdir(tmp_path)
    assert attribute_numcopies(repo.open(), "a.x") is None


def test_a_pattern_that_takes_git_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may push chooses it."""
    monkeypatch.setattr("annexshell.placement.attributes.LIMIT", 0.0)
    repo = plain_repo(tmp_path / "repo", bare=False)
    pattern = "**/" * 12 + "*a" * 30 + "b annex.numcopies=7\n"
    (repo.path / ".gitattributes").write_text(pattern)
    with pytest.raises(GitFailed, match="not done in 0.0 seconds"):
        attribute_numcopies(repo.open(), "a/" * 500 + "a" * 200)
