"""The table of spec 02 §5.1 for content: the same modes that git-annex gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexshell.repository.content import Content
from annexshell.repository.modes import Sharing
from tests.support.content import (
    HELLO,
    interrupt,
    make_repository,
    mode_of,
    object_path,
    put,
    sha256_key,
    tmp_path_of,
)

KEY = sha256_key(HELLO)


@pytest.fixture(params=[0o022, 0o077], ids=["umask022", "umask077"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


# setting, object before 10, object, object directory, directories, lock files; None: by umask
TABLE: list[tuple[str, list[int | None]]] = [
    ("false", [None, None, None, None, None]),
    ("umask", [None, None, None, None, None]),
    ("0660", [0o660, 0o440, 0o2570, 0o2770, 0o660]),
    ("660", [0o660, 0o440, 0o2570, 0o2770, 0o660]),
    ("0640", [0o640, 0o440, 0o2550, 0o2750, 0o640]),
    ("0664", [0o664, 0o444, 0o2575, 0o2775, 0o664]),
    ("0644", [0o644, 0o444, 0o2555, 0o2755, 0o644]),
]
UNSHARED = [0o444, 0o444, 0o555, 0o777, 0o666]


def check(tmp_path: Path, setting: str, expected: list[int]) -> None:
    for version in ("9", "10"):
        repository = make_repository(
            tmp_path / version, version=version, core_sharedRepository=setting
        )
        content = Content(repository)
        assert put(content, KEY, HELLO)
        found = object_path(repository, KEY)
        assert mode_of(found) == expected[version == "10"]
        assert mode_of(found.parent) == expected[2]
        for directory in (found.parent.parent, Path(repository.annex_dir, "tmp")):
            assert mode_of(directory) == expected[3]
    lock = content.lock_shared(KEY)
    assert lock is not None
    for name in (lock.place.lock, lock.place.retention_lock, lock.place.retention):
        assert mode_of(Path(name)) == expected[4], name
    lock.unlock()
    assert mode_of(found.parent) == expected[2]


@pytest.mark.thorough
@pytest.mark.parametrize(("setting", "expected"), TABLE)
def test_modes(
    tmp_path: Path, umask: int, setting: str, expected: list[int | None]
) -> None:
    modes = [
        mode & ~umask if given is None else given
        for given, mode in zip(expected, UNSHARED, strict=True)
    ]
    check(tmp_path, setting, modes)


@pytest.mark.parametrize("setting", ["1", "true", "group"])
def test_group(tmp_path: Path, umask: int, setting: str) -> None:
    if umask == 0o022:
        check(tmp_path, setting, [0o664, 0o444, 0o775, 0o775, 0o664])
    else:
        check(tmp_path, setting, [0o660, 0o440, 0o770, 0o770, 0o660])


@pytest.mark.parametrize("setting", ["2", "all", "world", "everybody"])
def test_world(tmp_path: Path, umask: int, setting: str) -> None:
    check(tmp_path, setting, [0o666, 0o444, 0o775, 0o775, 0o664])


@pytest.mark.parametrize("setting", ["", "0", "0888", "0o66", "0_66", "yes!", "-1"])
def test_what_cannot_be_understood_shares_nothing(setting: str) -> None:
    assert not Sharing.parse(setting).shared


def test_settings_in_capitals_count() -> None:
    assert Sharing.parse("Group") == Sharing.parse("group")


def test_temporary_files_are_shared_too(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", core_sharedRepository="0660")
    interrupt(Content(repository), KEY, b"hel")
    assert mode_of(tmp_path_of(repository, KEY)) == 0o660


def test_crippled_file_systems_are_left_alone(tmp_path: Path) -> None:
    repository = make_repository(
        tmp_path / "r", annex_crippledfilesystem="true", core_sharedRepository="false"
    )
    content = Content(repository)
    assert put(content, KEY, HELLO)
    found = object_path(repository, KEY)
    assert mode_of(found) == 0o644
    assert mode_of(found.parent) == 0o755


def test_make_directories_tells_what_it_made(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    made = Sharing().make_directories(str(tmp_path / "a/b/c"), str(tmp_path))
    assert made == [str(tmp_path / "a/b"), str(tmp_path / "a/b/c")]
    assert Sharing().make_directories(str(tmp_path / "a/b/c"), str(tmp_path)) == []


def test_a_file_in_the_way_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        Sharing().make_directories(str(tmp_path / "a"), str(tmp_path))
