"""Globs: what git-annex was seen to match, and what it costs to be hostile."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from annexshell.wanted.globs import compile_glob
from tests.support.rows import each_of
from tests.support.vectors import vectors

_DATA = Path(__file__).resolve().parents[2] / "data" / "globs.json"


@cache
def _seen() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_DATA.read_text(encoding="utf-8"))
    return loaded


def _matches(glob: str, name: str) -> bool | None:
    """Whether a path matches, by either matcher; None for what is not compiled."""
    compiled = compile_glob(glob, path=True, ignore_case=False)
    if compiled is None:
        return None
    found = compiled.matches(name)
    assert compiled.automaton.matches(name) is found, (glob, name)
    return found


def test_the_vectors() -> None:
    for glob, name, result in vectors("glob_path"):
        expected = None if result == "regex-error" else result
        assert _matches(glob, name) is expected, (glob, name)


@pytest.mark.thorough
def test_random_globs_on_random_names() -> None:
    names = _seen()["names"]
    for glob, matching in _seen()["globs"]:
        if matching is None:
            assert compile_glob(glob, path=True, ignore_case=False) is None, glob
            continue
        compiled = compile_glob(glob, path=True, ignore_case=False)
        assert compiled is not None, glob
        found = [n for n, name in enumerate(names) if compiled.matches(name)]
        assert found == sorted(matching), glob
        for n in {*matching, *range(0, len(names), 20)}:
            assert compiled.automaton.matches(names[n]) is (n in matching), glob


@pytest.mark.thorough
@pytest.mark.parametrize("section", ["brackets", "ignoring_case"])
def test_the_characters_that_a_bracket_takes(section: str) -> None:
    ignore_case = section == "ignoring_case"
    for piece, which, chars in _seen()[section]:
        glob = compile_glob(f"Z{piece}Z", path=not ignore_case, ignore_case=ignore_case)
        assert (glob is None) is (which is None), piece
        if glob is None:
            continue
        for char in _seen()["sample"]:
            expected = (char in chars) is (which == "these")
            assert glob.matches(f"Z{char}Z") is expected, (piece, char)
            assert glob.automaton.matches(f"Z{char}Z") is expected, (piece, char)


@each_of(
    [
        ("?>-", "a-", True),
        ("?>-", "_-", True),
        ("?>-", "é-", False),
        ("-<?", "-٣", False),
        ("<*", "", False),
        ("*`", "abc", False),
        ("*`", "", True),
        ("a'-", "a-", False),
        ("a>>-", "a-", True),
        ("a><-", "a-", False),
        ("a>'", "a", True),
        ("a'", "a\nb", False),
        ("`b", "a\nb", False),
        ("*'", "a\nb", True),
        ("`*", "a\nb", True),
        ("a[[:space:]]b", "a\nb", True),
        ("a[[:cntrl:]]", "a\nb", False),
        ("a[!x]b", "a\nb", False),
        ("a[[:space:]]*", "a\nb\nc", True),
        ("", "a\nb", False),
        ("", "a\n\nb", True),
        ("", "a\n", True),
        ("", "", True),
        ("x[[:space:]]", "a\nx\n", True),
        ("*b[[:space:]]c*d", "aab\ncccd\na", True),
        ("[[:space:]]", "a\n", False),
        ("[[:space:]]*", "a\nb", False),
        ("a/?/b", "a//x//b", True),
        ("a/?", "a/", False),
        ("a/?", "a//", True),
        ("a/[/x]", "a//", True),
        ("a//?b", "a///b", True),
        ("/[[:digit:]/x]", "/5//[x]", True),
        ("[[:digit:]/x]", "5[/5x]", True),
        ("[[:digit:]\\x]", "5[\\\\x]", True),
        ("a\\\\b", "a\\b", False),
        ("a\\\\b", "a\\\\b", True),
        ("a\\?", "a\\", False),
        ("*/*/", "a//", True),
        ("*/*/", "a/b", False),
    ],
)
def test_corners(glob: str, name: str, matches: bool) -> None:
    assert _matches(glob, name) is matches


@pytest.mark.parametrize("glob", ["a/b", "a\\b"])
def test_slashes_are_special_in_paths_alone(glob: str) -> None:
    doubled = glob.replace("/", "//").replace("\\", "\\\\")
    plain = compile_glob(glob, path=False, ignore_case=False)
    assert plain is not None
    assert plain.matches(glob)
    assert not plain.matches(doubled)
    assert _matches(glob, doubled)


HOSTILE = {
    "stars": ("*a" * 2000 + "b", "a" * 65536),
    "slashes": ("/?" * 2000 + "b", "/" * 20000),
    "repetitions": ("[[:digit:]/x]" * 50 + "*b", "5" * 20000),
    "assertions": ("*<" * 1000 + "*b", "a " * 10000),
    "lines": ("*[[:space:]]" * 500 + "b", "\n" * 20000),
    "sets": ("".join(f"[a-{chr(n)}]" for n in range(200, 1200)), "b" * 20000),
    "literals": ("?" * 30000 + "b*", "a" * 60000),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("ignore_case", [False, True])
def test_hostile_globs_come_to_an_end(name: str, ignore_case: bool) -> None:
    """Backtracking would not, in the lifetime of who waits for it."""
    text, path = HOSTILE[name]
    glob = compile_glob(text, path=True, ignore_case=ignore_case)
    assert glob is not None
    assert not glob.matches(path)


def test_a_glob_longer_than_the_name_is_never_run() -> None:
    glob = compile_glob("a" * 100_000 + "*", path=True, ignore_case=True)
    assert glob is not None
    assert not glob.matches("a" * 65536)
    assert "automaton" not in vars(glob)


def test_more_assertions_than_anybody_means_are_refused() -> None:
    assert compile_glob("'" * 1001, path=True, ignore_case=False) is None


@pytest.mark.parametrize(
    "text", ["\udcff\udc80", "\0", "\U0010ffff", "[\udc80-\udcff]"]
)
def test_what_is_no_utf8_is_matched_as_it_stands(text: str) -> None:
    glob = compile_glob(text, path=True, ignore_case=True)
    assert glob is not None
    name = "\udcff" if text.startswith("[") else text
    assert glob.matches(name)
    assert glob.automaton.matches(name)
