"""Hash directories, search order and names that do not fit (spec 02 §2.5, §4.4, §4.5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.errors import KeyNotStorable, Unsupported
from annexshell.model.key import Key
from annexshell.repository.paths import LOWER, MIXED, AnnexPaths, hash_directories
from tests.support.content import make_repository

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SOME = "f50d7ac4c6b9031379986bc362fcefb65f1e52621ce1708d537e740fefc59cc0"

VECTORS = [
    (f"SHA256E-s0--{EMPTY}", "f87/4d5", "pX/ZJ"),
    (f"SHA256E-s31390--{SOME}.mp3", "fe0/9b4", "7P/x0"),
    ("WORM-s3-m1289672605--file", "e82/c96", "p8/52"),
    ("URL--http://www.example.com/foo", "7fa/c8f", "wF/3M"),
    ("URL--http&c%%www.example.com%foo", "79f/203", "9K/0F"),
    ("MD5E-s1--a.b/c%d:e&f", "d4a/b8f", "mf/3M"),
    ("SHA256-s10-S4-C2--abc", "f19/9a4", "7w/99"),
    ("SHA256-s10--abc", "f19/9a4", "7w/99"),
    ("SHA256--x", "447/4a7", "w4/9J"),
    ("SHA256-S5--x", "447/4a7", "w4/9J"),
    ("SHA256-C5--x", "447/4a7", "w4/9J"),
    ("FOO--bar", "d73/548", "JJ/g3"),
]


@pytest.mark.parametrize(("key", "lower", "mixed"), VECTORS)
def test_hash_directories(key: str, lower: str, mixed: str) -> None:
    parsed = Key.parse(key.encode())
    assert hash_directories(parsed, LOWER) == lower
    assert hash_directories(parsed, MIXED) == mixed
    assert hash_directories(parsed, LOWER, 1) == lower[:3]
    assert hash_directories(parsed, MIXED, 1) == mixed[:2]


@pytest.mark.parametrize(
    ("bare", "settings", "directories"),
    [
        (True, {}, ["d73/548", "JJ/g3"]),
        (True, {"annex_tune_objecthashlower": "true"}, ["d73/548", "JJ/g3"]),
        (False, {}, ["JJ/g3", "d73/548"]),
        (False, {"annex_crippledfilesystem": "true"}, ["JJ/g3", "d73/548"]),
        (
            False,
            {"annex_crippledfilesystem": "true", "core_symlinks": "false"},
            ["d73/548", "JJ/g3"],
        ),
        (False, {"annex_tune_objecthashlower": "true"}, ["d73/548"]),
        (True, {"annex_tune_objecthash1": "true"}, ["d73", "JJ"]),
        (False, {"annex_tune_objecthash1": "true"}, ["JJ", "d73"]),
    ],
)
def test_search_order(
    tmp_path: Path, bare: bool, settings: dict[str, str], directories: list[str]
) -> None:
    paths = AnnexPaths.of(make_repository(tmp_path / "r", bare=bare, more=settings))
    places = paths.places(Key.parse(b"FOO--bar"))
    expected = [f"{paths.objects}/{d}/FOO--bar/FOO--bar" for d in directories]
    assert [place.object for place in places] == expected
    assert places[0].lock == expected[0] + ".lck"
    assert places[0].retention == expected[0] + ".rtm"
    assert places[0].retention_lock == expected[0] + ".rtl"


def test_escaped_name_is_one_component(tmp_path: Path) -> None:
    paths = AnnexPaths.of(make_repository(tmp_path / "r"))
    key = Key.parse(b"URL--../../x:/y")
    assert paths.tmp(key) == paths.annex_dir + "/tmp/URL--..%..%x&c%y"
    assert paths.transfer_info("upload", "u", key).endswith(
        "/upload/u/URL--..%..%x&c%y"
    )


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        (b"a" * (243 - 6), True),
        (b"a" * (244 - 6), False),
        # In the journal every underscore is doubled.
        (b"_" * 10 + b"a" * (233 - 6), False),
        (b"_" * 10 + b"a" * (223 - 6), True),
        (b"&" * 118 + b"a", True),
        (b"&" * 119, False),
    ],
)
def test_names_too_long_are_refused(tmp_path: Path, name: bytes, fits: bool) -> None:
    paths = AnnexPaths.of(make_repository(tmp_path / "r"))
    key = Key.parse(b"WORM--" + name)
    if fits:
        paths.check_storable(key)
    else:
        with pytest.raises(KeyNotStorable, match="too long"):
            paths.check_storable(key)


def test_a_tuning_that_is_not_known_is_refused(tmp_path: Path) -> None:
    """Objects would be looked for where they are not, and stored where none looks."""
    opened = make_repository(tmp_path / "r", annex_tune_objecthash3="true").reread()
    with pytest.raises(Unsupported, match="annex.tune.objecthash3"):
        AnnexPaths.of(opened)


def test_a_tuning_that_is_not_known_and_off_is_no_tuning(tmp_path: Path) -> None:
    opened = make_repository(tmp_path / "r", annex_tune_objecthash3="false")
    assert AnnexPaths.of(opened).levels == 2
