"""How long a launcher waits for its turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexshell.warm import launcher
from annexshell.warm.place import Place


class Silent:
    """A link that says nothing for ``times`` waits, in each of which something happens."""

    def __init__(self, path: Path, times: int, moving: bool) -> None:
        self._path, self._left, self._moving = path, iter(range(times)), moving

    def recv(self, size: int) -> bytes:
        number = next(self._left, None)
        if number is None:
            return launcher.HERE
        if self._moving:
            os.utime(self._path, ns=(number, number))
        raise TimeoutError


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Place, Path]]:
    found = Place(os.fsencode(tmp_path), b"")
    path = Path(os.fsdecode(found.socket))
    path.touch()
    yield found, path


@pytest.mark.parametrize(
    "times, moving, heard",
    [(0, False, True), (1, False, True), (2, False, False)]
    + [(5, True, True), (8, True, False)],
)
def test_waits_while_others_have_their_turn(
    place: tuple[Place, Path], times: int, moving: bool, heard: bool
) -> None:
    where, path = place
    link = Silent(path, times, moving)
    if heard:
        assert launcher._first_word(link, where) == launcher.HERE  # type: ignore[arg-type]  # all that is asked of it
    else:
        with pytest.raises(TimeoutError):
            launcher._first_word(link, where)  # type: ignore[arg-type]  # the same
