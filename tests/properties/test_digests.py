"""However content is cut into pieces, its digest is the same (spec 02 §3.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexshell.model.key import Key
from annexshell.repository.backends import Digest, algorithm_of, started

#: What is not hashlib's own, and one that is.
BACKENDS = (
    *("SKEIN256", "SKEIN512", "BLAKE2BP512", "BLAKE2SP224", "BLAKE2SP256"),
    *("BLAKE3_256", "XXH3", "SHA256"),
)
#: Around what the tree and block sizes of all backends have in common.
SIZES = st.integers(0, 40) | st.sampled_from(
    [n + d for n in (64, 128, 256, 448, 512, 960, 1024, 2048) for d in (-1, 0, 1)]
)
CUTS = st.lists(st.integers(0, 2100), max_size=8)


def fresh(backend: str) -> Digest:
    key = Key.parse(f"{backend}--x".encode())
    algorithm = algorithm_of(key)
    assert algorithm is not None
    return started(algorithm, key)


def content(size: int) -> bytes:
    return bytes((n * n + 7 * n) >> 3 & 0xFF for n in range(size))


@pytest.mark.parametrize("backend", BACKENDS)
@given(size=SIZES, cuts=CUTS)
def test_pieces_make_no_difference(backend: str, size: int, cuts: list[int]) -> None:
    data = content(size)
    whole = fresh(backend)
    whole.update(data)
    pieces = fresh(backend)
    places = [0, *sorted(min(cut, size) for cut in cuts), size]
    for start, end in zip(places, places[1:], strict=False):
        pieces.update(memoryview(data)[start:end])
    assert pieces.hexdigest() == whole.hexdigest()


@pytest.mark.parametrize("backend", BACKENDS)
@given(size=SIZES, place=st.integers(0, 2100), bit=st.integers(0, 7))
def test_every_byte_counts(backend: str, size: int, place: int, bit: int) -> None:
    data = bytearray(content(size + 1))
    right = fresh(backend)
    right.update(data)
    data[place % len(data)] ^= 1 << bit
    wrong = fresh(backend)
    wrong.update(data)
    assert wrong.hexdigest() != right.hexdigest()
