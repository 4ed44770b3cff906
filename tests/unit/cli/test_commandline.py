"""The words of a client, by the tables of spec 01 §1.1, §1.2 and §1.6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexshell.cli.commandline import (
    Builtin,
    PassThrough,
    parse_parameters,
    understand,
    unescape,
)
from annexshell.cli.commands import COMMANDS
from annexshell.errors import BadParameters, UnknownOption


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("'configlist' '/srv/a b'", ["configlist", "/srv/a b"]),
        ('configlist "/srv/x"', ["configlist", "/srv/x"]),
        ("config'list' /x", ["configlist", "/x"]),
        ("configlist 'a'\"'\"'b'", ["configlist", "a'b"]),
        ("configlist 'a'\\''b'", ["configlist", "a\\b"]),
        ("configlist a\\ b", ["configlist", "a\\", "b"]),
        ("configlist  x", ["configlist", "", "x"]),
        ("'configlist' '/srv/x'; echo hi", ["configlist", "/srv/x;", "echo", "hi"]),
        ("'configlist' '/srv/x", ["configlist", "/srv/x"]),
        ("configlist ''", ["configlist", ""]),
        ("a ", ["a"]),
        (" a", ["", "a"]),
        ("", []),
        ("a\tb\nc $HOME `id` $(id)", ["a\tb\nc", "$HOME", "`id`", "$(id)"]),
        ('"it\'s"', ["it's"]),
    ],
)
def test_unescape_follows_the_table(text: str, words: list[str]) -> None:
    assert unescape(text) == words


@given(st.lists(st.text(st.characters(exclude_characters="'"))))
def test_words_in_single_quotes_come_back(words: list[str]) -> None:
    assert unescape(" ".join(f"'{word}'" for word in words)) == words


CONFIGLIST = Builtin("configlist", "/r", ())


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "git-annex-shell configlist /r"],
        ["git-annex-shell configlist /r"],
        ["-c", "-c", "git-annex-shell 'configlist' '/r'"],
        ["configlist", "/r"],
        ["-c", "configlist", "/r"],
        ["-c", "git-annex-shell -c configlist /r"],
        ["-c", "git-annex-shell \"git-annex-shell 'configlist' '/r'\""],
        ["-c", "/usr/bin/git-annex-shell 'configlist' '/r'"],
        ["-c", "annexshell 'configlist' '/r'"],
        ["-c", "/opt/x/annexshell 'configlist' '/r'"],
    ],
)
def test_every_form_means_the_same(arguments: list[str]) -> None:
    assert understand(arguments, COMMANDS) == CONFIGLIST


@pytest.mark.parametrize(
    "arguments",
    [[], ["-c"], ["configlist"], ["-c", "configlist"], ["-c", "git-annex-shell "]],
)
def test_nothing_to_do_is_an_error(arguments: list[str]) -> None:
    with pytest.raises(BadParameters):
        understand(arguments, COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-c", "true"], ("true",)),
        (["-c", ""], ("",)),
        (["-c", "git-upload-pack '/r'"], ("git-upload-pack '/r'",)),
        (["git-upload-pack", "/r"], ("git-upload-pack", "/r")),
        (["--help"], ("--help",)),
        (["-c", "git-annex-shell frobnicate /r"], ("frobnicate", "/r")),
        (["-c", "xgit-annex-shell configlist /r"], ("xgit-annex-shell configlist /r",)),
        (["-c", " git-annex-shell configlist /r"], (" git-annex-shell configlist /r",)),
        (["-c", "git-annex-shell  configlist /r"], ("", "configlist", "/r")),
    ],
)
def test_anything_else_passes_through(
    arguments: list[str], words: tuple[str, ...]
) -> None:
    assert understand(arguments, COMMANDS) == PassThrough(words)


def test_options_stand_anywhere_before_the_fields() -> None:
    found = parse_parameters(
        "p2pstdio", ["--debug", "CLIENT", "--uuid", "U", "-qv", "--debugfilter=a,b"]
    )
    assert found.positional == ("CLIENT",)
    assert found.uuid == "U"
    assert found.flags == {"--debug", "--quiet", "--verbose"}


@pytest.mark.parametrize("words", [["--uuid", "x", "--uuid=y"], ["--uuid=x"]])
def test_the_first_uuid_counts(words: list[str]) -> None:
    assert parse_parameters("configlist", words).uuid == "x"


def test_an_empty_uuid_is_given_and_not_missing() -> None:
    assert parse_parameters("configlist", ["--uuid", ""]).uuid == ""
    assert parse_parameters("configlist", []).uuid is None


@pytest.mark.parametrize(
    "option", ["--bogus", "--uu", "-z", "-qz", "--force=1", "-F=1"]
)
def test_unknown_options_are_named(option: str) -> None:
    with pytest.raises(UnknownOption, match=option):
        parse_parameters("configlist", [option])


@pytest.mark.parametrize("option", ["--uuid", "--debugfilter"])
def test_an_option_without_its_value_is_an_error(option: str) -> None:
    with pytest.raises(BadParameters, match=option):
        parse_parameters("configlist", ["x", option])


def test_help_ends_the_reading() -> None:
    found = parse_parameters("configlist", ["--uuid", "u", "--help", "--bogus"])
    assert "--help" in found.flags


def test_fields_stand_between_two_dashes_and_are_never_options() -> None:
    found = parse_parameters(
        "configlist", ["--", "autoinit=1", "odd", "--uuid=x", "--", "--uuid", "y", "--"]
    )
    assert found.uuid is None
    assert found.field("autoinit") == "1"
    assert found.field("odd") is None
    assert found.rsync_options == ("--uuid", "y", "--")


def test_the_second_dashes_may_be_missing() -> None:
    assert parse_parameters("configlist", ["--", "a=b=c"]).field("a") == "b=c"


def test_a_lone_dash_is_a_parameter() -> None:
    assert parse_parameters("configlist", ["-", ""]).positional == ("-", "")
