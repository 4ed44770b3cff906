"""BLAKE2sp with 28 bytes of digest, as git-annex has it (spec 02 §3.2).

Its leaves have a digest length of 28 in their parameters and yet hand all 32 bytes of their
state to the root. hashlib cannot give those, so the leaves are computed here, after the
BLAKE2 specification (RFC 7693, and its section 2.10 for the tree).

All eight leaves are computed at once: each word of the state is one integer that holds the
word of every leaf in a lane of its own. A lane is twice as wide as a word, so that neither
a sum nor a shifted word reaches into the next one.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

_LEAVES = 8
_BLOCK = 64
_STRIPE = _LEAVES * _BLOCK
_STATE = 32
_DIGEST = 28
_DEPTH = 2
_IV = (
    *(0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A),
    *(0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19),
)
_SIGMA = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_QUARTERS = (
    *((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)),
    *((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)),
)
_LANES = struct.Struct(f"<{_LEAVES}Q")
_WORDS = struct.Struct(f"<{_STRIPE // 4}I")


def _lanes(words: Sequence[int]) -> int:
    """One integer of one word for each leaf."""
    return int.from_bytes(_LANES.pack(*words), "little")


_ONES = _lanes([0xFFFFFFFF] * _LEAVES)
_FIRST = tuple(_lanes([word] * _LEAVES) for word in _IV)


def _start() -> list[int]:
    """The state of the leaves before the first block: the initial values and parameters."""
    state = list(_FIRST)
    state[0] ^= _lanes([_DIGEST | _LEAVES << 16 | _DEPTH << 24] * _LEAVES)
    state[2] ^= _lanes(range(_LEAVES))
    state[3] ^= _lanes([_STATE << 24] * _LEAVES)
    return state


def _compress(
    h: list[int], stripe: bytes, counts: Sequence[int], finals: Sequence[bool]
) -> list[int]:
    """The state after one block of each leaf.

    ``counts`` are the bytes each leaf had with this block, ``finals`` whether it was its
    last.
    """
    words = _WORDS.unpack(stripe)
    m = [_lanes(words[n::16]) for n in range(16)]
    v = [*h, *_FIRST]
    v[12] ^= _lanes([count & 0xFFFFFFFF for count in counts])
    v[13] ^= _lanes([count >> 32 for count in counts])
    v[14] ^= _lanes([0xFFFFFFFF if final else 0 for final in finals])
    # The last leaf says with its last block that it is the last one.
    v[15] ^= _lanes([0] * (_LEAVES - 1) + [0xFFFFFFFF if finals[-1] else 0])
    for sigma in _SIGMA:
        for n, quarter in enumerate(_QUARTERS):
            _mix(v, quarter, m[sigma[2 * n]], m[sigma[2 * n + 1]])
    return [h[n] ^ v[n] ^ v[n + 8] for n in range(8)]


def _mix(v: list[int], quarter: tuple[int, int, int, int], x: int, y: int) -> None:
    """The function G of the specification, in every lane."""
    ones = _ONES
    i, j, k, n = quarter
    a, b, c, d = v[i], v[j], v[k], v[n]
    a = (a + b + x) & ones
    d ^= a
    d = (d >> 16 | d << 16) & ones
    c = (c + d) & ones
    b ^= c
    b = (b >> 12 | b << 20) & ones
    a = (a + b + y) & ones
    d ^= a
    d = (d >> 8 | d << 24) & ones
    c = (c + d) & ones
    b ^= c
    v[i], v[j], v[k], v[n] = a, (b >> 7 | b << 25) & ones, c, d


class Blake2sp224:
    """A digest with hashlib's methods."""

    def __init__(self) -> None:
        self._state = _start()
        self._count = 0
        """Bytes that each leaf has compressed."""
        self._held = b""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """The next bytes.

        A block may be compressed once it is known not to be the last of its leaf: as soon
        as the next stripe has a byte for the last leaf.
        """
        data = self._held + memoryview(data).cast("B")
        position = 0
        while len(data) - position > 2 * _STRIPE - _BLOCK:
            self._count += _BLOCK
            stripe = data[position : position + _STRIPE]
            counts, finals = [self._count] * _LEAVES, [False] * _LEAVES
            self._state = _compress(self._state, stripe, counts, finals)
            position += _STRIPE
        self._held = data[position:]

    def hexdigest(self) -> str:
        """The digest of all that came, in lower-case hexadecimal digits."""
        state, count = self._state, self._count
        held = self._held
        state = self._end(state, held[:_STRIPE], held[_STRIPE:], count)
        state = self._end(state, held[_STRIPE:], b"", count + _BLOCK)
        root = hashlib.blake2s(
            digest_size=_DIGEST,
            inner_size=_STATE,
            fanout=_LEAVES,
            depth=_DEPTH,
            node_depth=1,
            last_node=True,
        )
        for leaf in range(_LEAVES):
            lane = [word >> 64 * leaf & 0xFFFFFFFF for word in state]
            root.update(struct.pack("<8I", *lane))
        return root.hexdigest()

    def _end(
        self, state: list[int], stripe: bytes, after: bytes, count: int
    ) -> list[int]:
        """Compress a block of those leaves that have one in ``stripe``.

        It is the last of those that have none ``after``. A leaf without any content still
        has one empty block.
        """
        taken = [_share(stripe, leaf) for leaf in range(_LEAVES)]
        finals = [not _share(after, leaf) for leaf in range(_LEAVES)]
        counts = [count + share for share in taken]
        new = _compress(state, stripe.ljust(_STRIPE, b"\0"), counts, finals)
        active = [share > 0 or not count for share in taken]
        chosen = _lanes([0xFFFFFFFF if turn else 0 for turn in active])
        return [
            old ^ ((old ^ other) & chosen)
            for old, other in zip(state, new, strict=True)
        ]


def _share(stripe: bytes, leaf: int) -> int:
    """How many bytes of a stripe, which may end early, are the leaf's."""
    return max(0, min(_BLOCK, len(stripe) - leaf * _BLOCK))
