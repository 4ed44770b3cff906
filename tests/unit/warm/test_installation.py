"""Whether what was loaded is still what is installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import annexshell
from annexshell.warm.installation import Installation


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "annexshell"
    (top / "cli").mkdir(parents=True)
    for name in ("__init__.py", "cli/__init__.py", "cli/shell.py"):
        (top / name).write_text("")
    monkeypatch.setattr(annexshell, "__path__", [str(top)])
    return top


def test_nothing_happened(package: Path) -> None:
    installation = Installation()
    installation.loaded()
    assert installation.unchanged()


@pytest.mark.parametrize("change", ["edit", "add", "remove", "replace", "gone"])
def test_any_change_shows(package: Path, change: str) -> None:
    installation = Installation()
    installation.loaded()
    path = package / "cli" / "shell.py"
    if change == "edit":
        path.write_text("1")
    elif change == "add":
        os.utime(package / "cli", (0, 0))
        (package / "cli" / "new.py").write_text("")
    elif change == "remove":
        path.unlink()
    elif change == "replace":
        (package / "new").write_text("")
        (package / "new").rename(path)
    else:
        shutil.rmtree(package)
    assert not installation.unchanged()


def test_a_change_while_it_was_loading_shows(package: Path) -> None:
    installation = Installation()
    (package / "cli" / "shell.py").write_text("1")
    installation.loaded()
    assert not installation.unchanged()
