"""Logs of expressions: what git-annex was seen to write, spec 03 §4.3."""

from __future__ import annotations

import pytest

from annexshell.logs.expressions import expressions, with_expression
from annexshell.logs.mapped import Form
from annexshell.model.clock import SECOND, Clock
from annexshell.model.ids import UUID

NOW = Clock(9 * SECOND)


def test_texts_are_kept_as_they_are() -> None:
    text = b"u1  b   a  timestamp=1s\nu2  timestamp=1s\nu3\nu4 \xff timestamp=1s\n"
    assert expressions(text, Form.OLD) == {
        UUID(b"u1"): " b   a ",
        UUID(b"u2"): "",
        UUID(b"u3"): "",
        UUID(b"u4"): "\udcff",
    }


def test_groups_by_name() -> None:
    text = (
        b"1s g bogus\n2s h \n3s i\n4s j  two  \n5s j third\n4s k z\n4s k a\n4s \xff x\n"
    )
    assert expressions(text, Form.NEW) == {
        "g": "bogus",
        "h": "",
        "j": "third",
        "k": "a",
        "\udcff": "x",
    }


@pytest.mark.parametrize(
    ("form", "text", "new"),
    [
        (Form.OLD, "a  or  b", b"u1 a  or  b timestamp=9s\nu2 \xff timestamp=2s\n"),
        (Form.OLD, "", b"u1  timestamp=9s\nu2 \xff timestamp=2s\n"),
        (Form.OLD, " ", b"u1   timestamp=9s\nu2 \xff timestamp=2s\n"),
        (Form.OLD, "é\udcff", b"u1 \xc3\xa9\xff timestamp=9s\nu2 \xff timestamp=2s\n"),
        (Form.NEW, "  x ", b"9s u1   x \n"),
    ],
)
def test_writing(form: Form, text: str, new: bytes) -> None:
    old = b"u2 \xff timestamp=2s\n" if form is Form.OLD else b"2s u9\n"
    assert with_expression(old, form, b"u1", text, NOW) == new
    assert with_expression(new, form, b"u1", text, NOW) is None


def test_the_end_of_a_line_is_a_space() -> None:
    new = with_expression(b"", Form.OLD, b"u1", "a\r\nor\n\nb\n", NOW)
    assert new == b"u1 a or b  timestamp=9s\n"


@pytest.mark.parametrize("group", [b"", b"a b", b"a\nb"])
def test_groups_that_a_line_cannot_hold(group: bytes) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        with_expression(b"", Form.NEW, group, "anything", NOW)
