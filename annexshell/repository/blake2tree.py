"""BLAKE2bp and BLAKE2sp: several leaves side by side, and a root over their digests.

The BLAKE2 specification, section 2.10. The content is dealt out to the leaves in blocks,
one each in turn; hashlib computes leaves and root with its tree parameters.
"""

from __future__ import annotations

import hashlib
import struct
from itertools import islice

_DEPTH = 2


class Blake2Tree:
    """A digest of ``fanout`` leaves. Blocks of ``block`` bytes, leaf digests of ``size``."""

    def __init__(
        self,
        kind: type[hashlib.blake2b] | type[hashlib.blake2s],
        *,
        fanout: int,
        block: int,
        size: int,
    ) -> None:
        def node(
            depth: int, offset: int, last: bool
        ) -> hashlib.blake2b | hashlib.blake2s:
            return kind(
                digest_size=size,
                fanout=fanout,
                depth=_DEPTH,
                inner_size=size,
                node_depth=depth,
                node_offset=offset,
                last_node=last,
            )

        last = fanout - 1
        self._leaves = [node(0, n, n == last) for n in range(fanout)]
        self._root = node(1, 0, True)
        self._stripe = struct.Struct(f"{block}s" * fanout)
        self._block = block
        self._held = b""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """The next bytes; what does not fill a block of every leaf waits."""
        view = memoryview(data).cast("B")
        if self._held:
            wanted = self._stripe.size - len(self._held)
            self._held += view[:wanted]
            view = view[wanted:]
            if len(self._held) < self._stripe.size:
                return
            self._deal(memoryview(self._held))
        whole = len(view) - len(view) % self._stripe.size
        self._deal(view[:whole])
        self._held = bytes(view[whole:])

    def _deal(self, stripes: memoryview) -> None:
        rows = self._stripe.iter_unpack(stripes)
        # Some rows at a time: all of a large piece at once would double its memory.
        while part := list(islice(rows, 512)):
            for leaf, blocks in zip(self._leaves, zip(*part, strict=True), strict=True):
                leaf.update(b"".join(blocks))

    def hexdigest(self) -> str:
        """The digest of all that came, in lower-case hexadecimal digits."""
        root = self._root.copy()
        for number, leaf in enumerate(self._leaves):
            start = number * self._block
            ended = leaf.copy()
            ended.update(self._held[start : start + self._block])
            root.update(ended.digest())
        return root.hexdigest()


def blake2bp512() -> Blake2Tree:
    """BLAKE2bp with 64 bytes of digest."""
    return Blake2Tree(hashlib.blake2b, fanout=4, block=128, size=64)


def blake2sp256() -> Blake2Tree:
    """BLAKE2sp with 32 bytes of digest."""
    return Blake2Tree(hashlib.blake2s, fanout=8, block=64, size=32)
