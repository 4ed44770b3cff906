"""annex.numcopies of a file, by the installed git (spec 04 §6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.placement.attributes import attribute_numcopies
from tests.support.repositories import Repo, plain_repo


@pytest.fixture(params=[False, True], ids=["work tree", "bare"])
def repo(tmp_path: Path, request: pytest.FixtureRequest) -> Repo:
    return plain_repo(tmp_path / "repo", bare=request.param)


def _write(repo: Repo, text: str) -> None:
    info = repo.annex_dir.parent / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text(text)


# As git-annex 10.20261026 reads them.
@pytest.mark.parametrize(
    "attribute, number",
    [
        *(("annex.numcopies=3", 3), ("annex.numcopies=0x10", 16)),
        *(("annex.numcopies=0o7", 7), ("annex.numcopies=1x", 1)),
        *(("annex.numcopies=(3)", 3), ("annex.numcopies=3k", 3)),
        *(("annex.numcopies=0", 1), ("annex.numcopies=-1", 1)),
        *(("annex.numcopies=foo", None), ("annex.numcopies=1.5", None)),
        *(("annex.numcopies", None), ("-annex.numcopies", None)),
        *(("annex.numcopies=", None), ("annex.mincopies=3", None)),
    ],
)
def test_values(repo: Repo, attribute: str, number: int | None) -> None:
    _write(repo, f"*.x {attribute}\n")
    assert attribute_numcopies(repo.open(), "d/file.x") == number
    assert attribute_numcopies(repo.open(), "file.y") is None


@pytest.mark.parametrize(
    "name",
    [
        *("-z", "--all", "--", ":(top)x", ":!x", "new\nline", "tab\t", 'quo"te', "*"),
        *("caf\u00e9", "\udcff", " ", "d/-z", "x\\y", ".git/x", "a/" * 3000 + "x"),
    ],
)
def test_a_name_is_only_a_name(repo: Repo, name: str) -> None:
    _write(repo, "* annex.numcopies=4\n")
    assert attribute_numcopies(repo.open(), name) == 4


@pytest.mark.parametrize(
    "name", ["", "../x", "..", "../repo/x", "/x", "a\0b", "x" * 100_000]
)
def test_what_is_no_file_of_the_repository_has_none(repo: Repo, name: str) -> None:
    """git refuses these, which ends git-annex-shell; see docs/defects.md."""
    _write(repo, "* annex.numcopies=4\n")
    assert attribute_numcopies(repo.open(), name) is None


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
