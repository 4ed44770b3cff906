"""Which repository an operator's command is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.admin import gateway as gateway_module
from annexshell.admin.errors import NoRepositoryHere, NotYours
from annexshell.admin.gateway import open_gateway
from annexshell.errors import (
    NestedRepository,
    NoSuchRepository,
    NotAnAnnex,
    ShellError,
    UnsupportedVersion,
)
from tests.support.shell import UUID_HERE, git, make_annex


@pytest.mark.parametrize("below", [".", "refs/heads", "hooks"])
def test_a_bare_repository_from_anywhere_in_it(tmp_path: Path, below: str) -> None:
    found = open_gateway(str(make_annex(tmp_path / "r.git") / below))
    assert found.repository.path == str((tmp_path / "r.git").resolve())
    assert found.uuid == UUID_HERE.encode()


@pytest.mark.parametrize("below", [".", ".git", ".git/refs", "a/b"])
def test_a_work_tree_from_anywhere_in_it(tmp_path: Path, below: str) -> None:
    top = make_annex(tmp_path / "w", bare=False)
    (top / "a/b").mkdir(parents=True)
    assert open_gateway(str(top / below)).repository.work_tree == str(top.resolve())


def test_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoRepositoryHere, match="name it with -C"):
        open_gateway(str(tmp_path))
    with pytest.raises(NoSuchRepository):
        open_gateway(str(tmp_path / "none"))


def test_a_repository_that_came_with_a_push(tmp_path: Path) -> None:
    top = make_annex(tmp_path / "w", bare=False)
    planted = make_annex(top / "planted")
    git("-C", top, "add", "-f", "planted/config")
    with pytest.raises(NestedRepository):
        open_gateway(str(planted))


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [("annex.uuid", "", NotAnAnnex), ("annex.version", "3", UnsupportedVersion)],
)
def test_what_is_no_annex_that_we_know(
    tmp_path: Path, setting: str, value: str, error: type[ShellError]
) -> None:
    path = make_annex(tmp_path / "r.git")
    git("-C", path, "config", setting, value)
    with pytest.raises(error):
        open_gateway(str(path))


def test_another_users_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "is_trusted", lambda path: False)
    with pytest.raises(NotYours, match="set safe.directory"):
        open_gateway(str(make_annex(tmp_path / "r.git")))


def test_the_clock_of_changes(tmp_path: Path) -> None:
    path = str(make_annex(tmp_path / "r.git"))
    assert open_gateway(path, b"12.5s").now == 12_500_000_000_000
    assert open_gateway(path, b"nonsense").now > 10**21
