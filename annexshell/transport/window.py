"""What the fastest receiver of a fan-out was given already, and the slowest was not."""

from __future__ import annotations

import mmap


class Window:
    """The bytes from ``tail`` to ``head``, positions in the source, in a ring."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.head = 0
        self._origin = 0
        # Its pages are only there once they were used, unlike a bytearray's.
        self._ring = memoryview(mmap.mmap(-1, size))

    def forget(self) -> None:
        """Give the memory back; nothing is handed out any more."""
        self._ring = memoryview(b"")

    def move(self, tail: int, size: int) -> None:
        """Go on with other memory, of ``size`` bytes, which is not less than there are.

        What was handed out stays as it is, as long as somebody has it.
        """
        ring, begun = memoryview(mmap.mmap(-1, size)), tail
        while tail < self.head:
            piece = self.after(tail)
            ring[tail - begun : tail - begun + len(piece)] = piece
            tail += len(piece)
        self._ring, self._origin, self.size = ring, begun, size

    def room(self, tail: int, limit: int) -> memoryview:
        """Where the next bytes go, at most ``limit``; not empty unless it is full."""
        if tail == self.head:
            # Nobody is behind: the same few pages are used again, from the cache.
            self._origin = tail
        at = (self.head - self._origin) % self.size
        free = self.size - (self.head - tail)
        return self._ring[at : min(at + min(free, limit), self.size)]

    def after(self, position: int) -> memoryview:
        """Bytes from ``position`` on, as far as they lie side by side."""
        at = (position - self._origin) % self.size
        return self._ring[at : min(at + self.head - position, self.size)]
