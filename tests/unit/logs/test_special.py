"""remote.log: spec 03 §4.6."""

from __future__ import annotations

import pytest

from annexshell.logs.special import special_remotes
from tests.support.repositories import U1, U2


def _settings(value: bytes) -> dict[str, str]:
    return special_remotes(U1 + b" " + value + b" timestamp=1s\n")[U1]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"name=x type=directory", {"name": "x", "type": "directory"}),
        (b"a=1 b a=2 c=d=e", {"a": "2", "b": "", "c": "d=e"}),
        (b"k=a&32;b&38;c&9;d&160;e", {"k": "a b&c\td\xa0e"}),
        (b"k=&x; l=&; m=&12", {"k": "&x;", "l": "&;", "m": "&12"}),
        (b"k=&1114111; l=&1114112;", {"k": "\U0010ffff", "l": "&1114112;"}),
        ("k=é".encode(), {"k": "é"}),
        (b"", {}),
    ],
)
def test_settings(value: bytes, found: dict[str, str]) -> None:
    assert _settings(value) == found


def test_the_newest_line_counts() -> None:
    text = U1 + b" a=2 timestamp=5s\n" + U1 + b" a=1 timestamp=3s\n" + U2 + b" b=1\n"
    assert special_remotes(text) == {U1: {"a": "2"}, U2: {"b": "1"}}
