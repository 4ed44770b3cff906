"""What is said of a node that did not greet us."""

from __future__ import annotations

import pytest

from annexshell.errors import Malformed
from annexshell.model.ids import UUID
from annexshell.protocol import messages as m
from annexshell.remotes.endings import ending, unwelcome

X = UUID(b"11111111-1111-4111-8111-111111111111")
Y = UUID(b"22222222-2222-4222-8222-222222222222")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (255, "ssh cannot reach it"),
        (127, "there is no git-annex-shell"),
        (126, "cannot be run"),
        (1, "refused (exit status 1)"),
        (0, "refused (exit status 0)"),
    ],
)
def test_how_its_program_ended(code: int, said: str) -> None:
    assert said in ending(code)


def test_an_end_that_tells_nothing() -> None:
    assert ending(None) == "" and ending(-15) == ""


def test_how_it_greeted() -> None:
    assert unwelcome(m.AuthSuccess(X), X) == ""
    assert "not initialised" in unwelcome(m.AuthSuccess(UUID(b"")), X)
    assert f"with UUID {Y.decode()}" in unwelcome(m.AuthSuccess(Y), X)
    for other in (m.AuthFailure(), m.Error(b"x"), Malformed()):
        assert "does not answer as a git-annex-shell" in unwelcome(other, X)
