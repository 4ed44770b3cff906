"""What a file system can do is found out by doing it (spec 02 §14.3)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from annexshell.repository import probing
from annexshell.repository.probing import Abilities, probe


def refuse(*arguments: object, **more: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def test_everything_works_where_the_tests_run(tmp_path: Path) -> None:
    assert probe(str(tmp_path)) == Abilities(True, True, True, True)
    assert not probe(str(tmp_path)).crippled
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("owner", "name", "ability"),
    [
        (probing, "try_lock", "locks"),
        (os, "mkfifo", "fifos"),
        (os, "symlink", "symlinks"),
        (os, "chmod", "write_protection"),
    ],
)
def test_what_fails_is_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    ability: str,
) -> None:
    monkeypatch.setattr(owner, name, refuse)
    found = probe(str(tmp_path))
    assert [n for n, works in found._asdict().items() if not works] == [ability]
    assert found.crippled is (ability in ("symlinks", "write_protection"))
    assert os.listdir(tmp_path) == []


def test_modes_that_are_ignored_protect_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ignored(path: str, mode: int) -> None:
        """As on FAT."""

    chmod: Callable[[str, int], None] = ignored
    monkeypatch.setattr(os, "chmod", chmod)
    assert not probe(str(tmp_path)).write_protection


def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "annexshell-probe"
    left.mkdir()
    (left / "fifo").touch()
    assert probe(str(tmp_path)).fifos
    assert os.listdir(tmp_path) == []
