"""The operator's commands get the path of a key whose name the client chose."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.repository.config import GitConfig
from annexshell.repository.hooks import Hooks

NASTY = "WORM--$(touch pwned)`touch pwned`;touch pwned&c'\"\\* |touch pwned"


def freeze(top: Path, command: str, path: str) -> None:
    config = GitConfig([("annex.freezecontent-command", command)])
    Hooks(str(top), config).freeze(path)


@pytest.mark.parametrize(
    "command",
    [
        "printf %s %path >out",
        'printf %s "%path" >out',
        "printf %s '%path' >out",
        'f() { printf %s "froze %path"; }; f x >out',
        "sh -c 'printf %s \"$1\" >out' sh %path",
    ],
)
def test_no_name_of_a_key_is_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    freeze(tmp_path, command, NASTY)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "name", [NASTY, "SHA256E-s5--abc.txt", "a b", "-x", "caf\udcc3"]
)
def test_the_path_arrives_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    freeze(tmp_path, "printf %s %path >out; test $# = 0 && printf , >>out", name)
    assert (tmp_path / "out").read_bytes().decode("utf-8", "surrogateescape") == (
        name + ","
    )


def test_a_plain_path_may_stand_in_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    freeze(tmp_path, "sh -c 'printf %s %path >out'", "/srv/r/SHA256E-s5--abc.txt")
    assert (tmp_path / "out").read_text() == "/srv/r/SHA256E-s5--abc.txt"
