"""Where a resident listens, and for whom."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.warm.place import Place, place_for, place_in


def named(**environ: str) -> bytes:
    return place_in(b"/f", {k.encode(): v.encode() for k, v in environ.items()}).name


def test_the_same_for_sessions_that_differ_in_what_is_read_each_time() -> None:
    assert named() == named(HOME="/h", PATH="/bin", GIT_ANNEX_SHELL_READONLY="1")


@pytest.mark.parametrize("name", ["LC_ALL", "LANG", "TZ", "LD_PRELOAD", "PYTHONPATH"])
def test_another_one_for_what_libraries_read_once(name: str) -> None:
    assert len({named(), named(**{name: "a"}), named(**{name: "b"})}) == 3


def test_in_the_runtime_directory_if_it_is_private(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    environ = {b"XDG_RUNTIME_DIR": os.fsencode(run), b"HOME": b"/home/ann"}
    found = place_for(environ)
    assert found is not None and found.folder == os.fsencode(run / "annexshell")
    run.chmod(0o750)
    found = place_for(environ)
    assert found is not None and found.folder == b"/home/ann/.cache/annexshell"


@pytest.mark.parametrize("home", [b"", b"relative"])
def test_nowhere_without_a_home(home: bytes) -> None:
    assert place_for({b"HOME": home, b"XDG_RUNTIME_DIR": home}) is None


def test_only_a_directory_of_ones_own_is_entered(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    place = Place(os.fsencode(folder), b"")
    with pytest.raises(FileNotFoundError):
        place.enter()
    folder.mkdir(mode=0o700)
    os.close(place.enter())
    folder.chmod(0o710)
    with pytest.raises(PermissionError):
        place.enter()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        place.enter()
