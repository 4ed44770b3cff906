"""group.log: what git-annex was seen to make of it, spec 03 §4.2."""

from __future__ import annotations

import pytest

from annexshell.logs.groups import groups, with_groups
from annexshell.model.clock import SECOND, Clock
from annexshell.model.ids import UUID

U = UUID(b"u1")
NOW = Clock(9 * SECOND)


def test_groups_are_apart_by_spaces_alone() -> None:
    text = b"u1  b   a  timestamp=1s\nu2 a\tb z\nu3\nu4 \xff timestamp=3s\n"
    assert groups(text) == {
        b"u1": {"a", "b"},
        b"u2": {"a\tb", "z"},
        b"u3": set(),
        b"u4": {"\udcff"},
    }


@pytest.mark.parametrize(
    ("old", "names", "new"),
    [
        (b"", ("b", "a", "b"), b"u1 a b timestamp=9s\n"),
        (b"u1  b a timestamp=20s\n", ("a", "b"), None),
        (b"u1 a timestamp=20s\n", (), b"u1  timestamp=21s\n"),
        (b"u2 a timestamp=20s\n", (), None),
        (b"u1 a timestamp=20s\n", ("é\tx", "A"), b"u1 A \xc3\xa9\tx timestamp=21s\n"),
        (
            b"u4 \xff\xfe timestamp=3s\nu2  b   a timestamp=1s\nu3\n b timestamp=4s\n"
            b"u2 z  z timestamp=1.50s\nu5 x timestamp=2s junk timestamp\n",
            ("G",),
            b"u1 G timestamp=9s\nu2 z timestamp=1.5s\nu3 \nu4 \xff\xfe timestamp=3s\n"
            b"u5 junk timestamp timestamp=2s x\n",
        ),
    ],
)
def test_writing(old: bytes, names: tuple[str, ...], new: bytes | None) -> None:
    assert with_groups(old, U, names, NOW) == new


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "\rb"])
def test_names_that_the_log_cannot_hold(name: str) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        with_groups(b"", U, [name], NOW)
