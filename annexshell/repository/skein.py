"""Skein-256-256 and Skein-512-512 (the Skein hash function family, version 1.3).

No kept library has Skein. Threefish is unrolled into one expression after another, made
from the constants below when it is first needed: loops would make it half as fast.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

_MASK = (1 << 64) - 1
_PARITY = 0x1BD11BDAA9FC1A22
_ROUNDS = 72
_PER_KEY = 4
"""Rounds between two subkeys."""
_ROTATIONS = {
    4: ((14, 16), (52, 57), (23, 40), (5, 37), (25, 33), (46, 12), (58, 22), (32, 32)),
    8: (
        *((46, 36, 19, 37), (33, 27, 14, 42), (17, 49, 36, 39), (44, 9, 54, 56)),
        *((39, 30, 34, 24), (13, 50, 10, 17), (25, 29, 39, 43), (8, 35, 56, 22)),
    ),
}
_PERMUTATIONS = {4: (0, 3, 2, 1), 8: (2, 1, 4, 7, 6, 5, 0, 3)}

_FIRST, _FINAL = 1 << 126, 1 << 127
_CONFIG, _MESSAGE, _OUTPUT = 4 << 120, 48 << 120, 63 << 120
_SCHEMA = b"SHA3\x01\0\0\0"

Words = tuple[int, ...]
_Block = Callable[[Words, int, Words], Words]
"""From chaining words, tweak and a block's words to the next chaining words."""


@cache
def _block(count: int) -> _Block:
    """One step of the chain, UBI's, for blocks of ``count`` words."""
    names = range(count)
    lines = [
        "def step(chain, tweak, block):",
        f" {_list('k', names)} = chain",
        f" k{count} = {' ^ '.join(f'k{n}' for n in names)} ^ {_PARITY}",
        f" t0 = tweak & {_MASK}; t1 = tweak >> 64; t2 = t0 ^ t1",
        f" {_list('b', names)} = block",
        *(f" x{n} = b{n}" for n in names),
    ]
    order = tuple(names)
    for number in range(_ROUNDS):
        if number % _PER_KEY == 0:
            lines += _add_key(count, order, number // _PER_KEY)
        lines += _mix(order, _ROTATIONS[count][number % 8])
        order = tuple(order[n] for n in _PERMUTATIONS[count])
    lines += _add_key(count, order, _ROUNDS // _PER_KEY)
    ends = ", ".join(f"x{name} ^ b{n}" for n, name in enumerate(order))
    space: dict[str, _Block] = {}
    exec("\n".join([*lines, f" return {ends}"]), {}, space)
    return space["step"]


def _list(letter: str, names: range) -> str:
    return ", ".join(f"{letter}{n}" for n in names)


def _add_key(count: int, order: Words, number: int) -> list[str]:
    """Add subkey ``number``. The word at place n is in the variable that ``order`` names."""
    added = [f"k{(number + n) % (count + 1)}" for n in range(count)]
    added[-3] += f" + t{number % 3}"
    added[-2] += f" + t{(number + 1) % 3}"
    added[-1] += f" + {number}"
    return [
        f" x{name} = x{name} + {more} & {_MASK}"
        for name, more in zip(order, added, strict=True)
    ]


def _mix(order: Words, rotations: Words) -> list[str]:
    lines = []
    for n, rotation in enumerate(rotations):
        a, b = f"x{order[2 * n]}", f"x{order[2 * n + 1]}"
        # The sum may have bits too many until the next subkey is added.
        lines += [
            f" {a} = {a} + {b}",
            f" {b} = (({b} << {rotation} | {b} >> {64 - rotation}) ^ {a}) & {_MASK}",
        ]
    return lines


class Skein:
    """A digest as long as its blocks, of 4 or 8 words, with hashlib's methods."""

    def __init__(self, count: int) -> None:
        self._step = _block(count)
        self._words = struct.Struct(f"<{count}Q")
        self._size = 8 * count
        config = (_SCHEMA + struct.pack("<Q", 64 * count)).ljust(self._size, b"\0")
        tweak = _CONFIG | _FIRST | _FINAL | 32
        self._chain = self._step((0,) * count, tweak, self._words.unpack(config))
        self._position = 0
        """Bytes in the chain."""
        self._kind = _MESSAGE | _FIRST
        self._held = b""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """The next bytes. A full block waits for more: it may be the last."""
        view = memoryview(data).cast("B")
        if self._held:
            wanted = self._size - len(self._held)
            self._held += view[:wanted]
            view = view[wanted:]
            if not view:
                return
            self._take(memoryview(self._held))
            self._held = b""
        if view:
            whole = (len(view) - 1) // self._size * self._size
            self._take(view[:whole])
            self._held = bytes(view[whole:])

    def _take(self, blocks: memoryview) -> None:
        step, chain, position = self._step, self._chain, self._position
        for block in self._words.iter_unpack(blocks):
            position += self._size
            chain = step(chain, self._kind | position, block)
            self._kind = _MESSAGE
        self._chain, self._position = chain, position

    def hexdigest(self) -> str:
        """The digest of all that came, in lower-case hexadecimal digits."""
        tweak = self._kind | _FINAL | (self._position + len(self._held))
        last = self._words.unpack(self._held.ljust(self._size, b"\0"))
        chain = self._step(self._chain, tweak, last)
        counter = (0,) * (self._size // 8)
        output = self._step(chain, _OUTPUT | _FIRST | _FINAL | 8, counter)
        return self._words.pack(*output).hex()


def skein256() -> Skein:
    """Skein-256-256."""
    return Skein(4)


def skein512() -> Skein:
    """Skein-512-512."""
    return Skein(8)
