"""The ring between the fastest and the slowest."""

from __future__ import annotations

import pytest

from annexshell.transport.window import Window


def put(window: Window, tail: int, content: bytes) -> None:
    while content:
        room = window.room(tail, len(content))
        room[:] = content[: len(room)]
        window.head += len(room)
        content = content[len(room) :]


def rest(window: Window, position: int) -> bytes:
    found = b""
    while position < window.head:
        found += bytes(window.after(position))
        position += len(window.after(position))
    return found


@pytest.mark.parametrize("size", [8, 9, 20])
@pytest.mark.parametrize("ahead", range(8))
def test_it_goes_on_in_other_memory(size: int, ahead: int) -> None:
    """Wherever in the ring it is, and also where it becomes larger."""
    window = Window(8)
    put(window, 0, b"x" * ahead)
    put(window, ahead, b"abcdef")
    handed_out = window.after(ahead)
    before = bytes(handed_out)
    window.move(ahead + 1, size)
    assert (window.size, window.head) == (size, ahead + 6)
    assert rest(window, ahead + 1) == b"bcdef"
    put(window, ahead + 4, b"ghij")
    assert rest(window, ahead + 4) == b"efghij"
    assert handed_out == before


def test_an_empty_one_can_move_too() -> None:
    window = Window(4)
    put(window, 0, b"abc")
    window.move(3, 6)
    put(window, 3, b"defghi")
    assert rest(window, 3) == b"defghi"
    assert len(window.room(3, 1)) == 0
