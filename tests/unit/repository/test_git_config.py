"""Reading git's config, and what its values mean (spec 02 §4.1, §18)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.repository.config import GitConfig, as_boolean, parse_size, read_config
from annexshell.repository.gitprocess import GitFailed, git_output
from tests.support.shell import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git("init", "-q", "--bare", tmp_path / "r")
    return tmp_path / "r"


def test_values_of_every_kind(repository: Path) -> None:
    with open(repository / "config", "ab") as config:
        config.write(b'[A "S.x"]\n\tB = one\n\tb = "two\\nlines"\n\tFlag\n\tEmpty =\n')
        config.write(b"[c]\n\td = caf\xc3\xa9\xff\n")
    found = read_config(str(repository))
    assert found.get("a.S.x.b") == "two\nlines"
    assert found.get("a.S.x.flag") == "true"
    assert found.get("a.S.x.empty") == ""
    assert found.get("a.s.x.b") is None
    assert (found.get("c.d") or "").encode(
        errors="surrogateescape"
    ) == b"caf\xc3\xa9\xff"
    assert set(found.names("a.")) == {"a.S.x.b", "a.S.x.flag", "a.S.x.empty"}


def test_a_large_config_and_complaint_do_not_block(repository: Path) -> None:
    with open(repository / "config", "a", encoding="ascii") as config:
        config.write("[big]\n" + "".join(f"\tk{n} = {'v' * 90}\n" for n in range(9000)))
    assert read_config(str(repository)).get("big.k8999") == "v" * 90
    flood = "alias.flood=!head -c 300000 /dev/zero | tr '\\0' x >&2; exit 1"
    with pytest.raises(GitFailed, match="x{300000}"):
        git_output(str(repository), "-c", flood, "flood")


def test_git_that_is_missing_is_told(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(GitFailed, match="cannot be run"):
        read_config(str(repository))


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("true", True),
        ("YES", True),
        ("on", True),
        ("1", True),
        ("7", True),
        ("false", False),
        ("No", False),
        ("off", False),
        ("0", False),
        ("", False),
    ],
)
def test_booleans(value: str, meaning: bool) -> None:
    assert as_boolean(value, not meaning) is meaning


def test_what_is_no_boolean_counts_as_not_set() -> None:
    for default in (True, False):
        assert as_boolean("junk", default) is default
        assert as_boolean(None, default) is default


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("100", 100),
        ("1 kb", 1000),
        ("1KiB", 1024),
        ("1.5 MB", 1_500_000),
        ("2GiB", 2 << 30),
        ("8 kbit", 1000),
        ("3 bytes", 3),
        (" 1 ", 1),
        ("1.2.3", None),
        (".5", None),
        ("5.", None),
        ("٣", None),
        ("1 k b", None),
        ("junk", None),
        ("1 xb", None),
        ("-1", None),
        ("", None),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    assert parse_size(text) == size


def test_numbers_and_defaults() -> None:
    config = GitConfig([("a.n", "12"), ("a.n", "-3"), ("a.x", "1e3"), ("a.s", "junk")])
    assert config.integer("a.n", 5) == -3
    assert config.integer("a.x", 5) == 5
    assert config.integer("a.none", 5) == 5
    assert config.size("a.s", 7) == 7
    assert config.size("a.n", 7) == 7


def test_remotes_and_their_settings() -> None:
    config = GitConfig(
        [
            ("remote.a.b.url", "x"),
            ("remote.c.url", "y"),
            ("remote.c.annex-proxy", "true"),
            ("remote.pushdefault", "c"),
            ("annex.proxy", "false"),
        ]
    )
    assert config.remotes() == ["a.b", "c"]
    assert config.remote("c", "proxy") == "true"
    assert config.remote("a.b", "proxy") == "false"
    assert config.remote("c", "shell") is None


def test_a_value_can_be_added() -> None:
    config = GitConfig([("a.b", "1"), ("a.b", "2"), ("c.d", "3")])
    more = config.adding("a.b", "4")
    assert more.all("a.b") == ["1", "2", "4"] and more.get("c.d") == "3"
    assert config.all("a.b") == ["1", "2"]
