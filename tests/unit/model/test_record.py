"""The light NamedTuple behaves as typing's does where we use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple as Reference

import pytest

from annexshell.model.record import NamedTuple


class Light(NamedTuple):
    """Ours."""

    a: int
    b: str = "x"

    @property
    def both(self) -> str:
        return f"{self.a}{self.b}"

    @classmethod
    def make(cls, a: int) -> Light:
        return cls(a)


class Heavy(Reference):
    """typing's."""

    a: int
    b: str = "x"


def test_it_is_a_tuple_with_names_and_defaults() -> None:
    assert Light(1) == (1, "x") == Heavy(1)
    assert Light(b="y", a=2)._replace(a=3) == Light(3, "y")
    assert Light(1).both == "1x"
    assert Light.make(4) == Light(4)
    assert repr(Light(1)) == "Light(a=1, b='x')"


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Light(1).a = 2  # type: ignore[misc]  # the point of the test
    with pytest.raises(AttributeError):
        Light(1).c = 2  # type: ignore[attr-defined]  # the point of the test


def test_a_missing_field_is_an_error() -> None:
    make: Callable[..., Light] = Light
    with pytest.raises(TypeError):
        make()
