"""Working in an object directory that others freeze at the same time (spec 02 §5.2)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.repository.freezing import Freezer
from annexshell.repository.hooks import Hooks
from annexshell.repository.modes import Sharing
from annexshell.repository.open import Repository
from tests.support.content import make_repository, mode_of


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r")


@pytest.fixture
def freezer(repository: Repository) -> Freezer:
    hooks = Hooks(repository.git_dir, repository.config)
    sharing = Sharing.parse(None)
    return Freezer(sharing, hooks, crippled=False, separate_lock=True)


def test_an_action_is_tried_again_in_a_directory_frozen_meanwhile(
    freezer: Freezer, tmp_path: Path
) -> None:
    modes = []

    def action() -> str:
        modes.append(mode_of(tmp_path))
        if len(modes) < 4:
            os.chmod(tmp_path, 0o555)
            raise PermissionError(13, "Permission denied")
        return "done"

    assert freezer.persist(str(tmp_path), action) == "done"
    assert [mode & 0o200 for mode in modes[1:]] == [0o200] * 3


def test_permission_that_never_comes_is_an_error(
    freezer: Freezer, tmp_path: Path
) -> None:
    tries = []

    def action() -> None:
        tries.append(1)
        raise PermissionError(13, "Permission denied")

    with pytest.raises(PermissionError):
        freezer.persist(str(tmp_path), action)
    assert len(tries) > 3


def test_the_directory_is_frozen_after_a_failure_too(
    freezer: Freezer, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="x"):
        with freezer.thawed(str(tmp_path)):
            assert mode_of(tmp_path) & 0o200
            raise ValueError("x")
    assert mode_of(tmp_path) & 0o222 == 0
    tmp_path.chmod(0o755)


def test_a_directory_removed_meanwhile_needs_no_freezing(
    freezer: Freezer, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with freezer.thawed(str(gone)):
        gone.rmdir()
    with pytest.raises(FileNotFoundError):
        freezer.thaw_directory(str(gone))


def test_what_belongs_together_thaws_and_freezes_once(
    freezer: Freezer, tmp_path: Path
) -> None:
    with freezer.thawed(str(tmp_path)) as outer:
        with freezer.thawed(str(tmp_path)):
            assert mode_of(tmp_path) & 0o200
        assert mode_of(tmp_path) & 0o200
        outer.close()
        assert mode_of(tmp_path) & 0o222 == 0
        with freezer.thawed(str(tmp_path)):
            assert mode_of(tmp_path) & 0o200
    assert mode_of(tmp_path) & 0o222 == 0
    tmp_path.chmod(0o755)
