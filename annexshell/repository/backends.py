"""The backends whose keys hold a digest of the content (spec 02 §3.1, §3.2).

The set is closed. hashlib computes most of them; what takes a module of its own is
imported when such a key arrives, and not before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

from annexshell.errors import NotVerifiable
from annexshell.model.key import Key


class Digest(Protocol):
    """What every hashlib object can do."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


class Algorithm(NamedTuple):
    """One digest. ``start`` may raise ImportError."""

    name: str
    start: Callable[[], Digest]
    secure: bool
    """Whether annex.securehashesonly lets its keys in."""


def _hashlib(name: str) -> Callable[[], Digest]:
    return lambda: hashlib.new(name, usedforsecurity=False)


def _blake2b(bits: int) -> Callable[[], Digest]:
    return lambda: hashlib.blake2b(digest_size=bits // 8)


def _blake2s(bits: int) -> Callable[[], Digest]:
    return lambda: hashlib.blake2s(digest_size=bits // 8)


def _blake2bp512() -> Digest:
    from annexshell.repository.blake2tree import blake2bp512

    return blake2bp512()


def _blake2sp256() -> Digest:
    from annexshell.repository.blake2tree import blake2sp256

    return blake2sp256()


def _blake2sp224() -> Digest:
    from annexshell.repository.blake2lanes import Blake2sp224

    return Blake2sp224()


def _skein256() -> Digest:
    from annexshell.repository.skein import skein256

    return skein256()


def _skein512() -> Digest:
    from annexshell.repository.skein import skein512

    return skein512()


def _blake3() -> Digest:
    from blake3 import blake3

    return blake3()


def _xxh3() -> Digest:
    from xxhash import xxh3_64

    return xxh3_64()


_STARTS: dict[str, Callable[[], Digest]] = {
    **{f"SHA{n}": _hashlib(f"sha{n}") for n in (1, 224, 256, 384, 512)},
    **{f"SHA3_{n}": _hashlib(f"sha3_{n}") for n in (224, 256, 384, 512)},
    **{f"BLAKE2B{n}": _blake2b(n) for n in (160, 224, 256, 384, 512)},
    **{f"BLAKE2S{n}": _blake2s(n) for n in (160, 224, 256)},
    "BLAKE2BP512": _blake2bp512,
    "BLAKE2SP224": _blake2sp224,
    "BLAKE2SP256": _blake2sp256,
    "SKEIN256": _skein256,
    "SKEIN512": _skein512,
    "BLAKE3_256": _blake3,
    "XXH3": _xxh3,
    "MD5": _hashlib("md5"),
}
_INSECURE = frozenset(("SHA1", "MD5", "XXH3"))
_ALGORITHMS = {
    name.encode(): Algorithm(name, start, name not in _INSECURE)
    for name, start in _STARTS.items()
}
_BUNDLE = b"GITBUNDLE"


def algorithm_of(key: Key) -> Algorithm | None:
    """The digest that the key holds; None if its backend is none of these."""
    if key.backend == _BUNDLE:
        return _ALGORITHMS[b"SHA256"]
    found = _ALGORITHMS.get(key.backend)
    if found is None and key.backend.endswith(b"E"):
        found = _ALGORITHMS.get(key.backend[:-1])
    return found


def expected(key: Key) -> frozenset[str]:
    """The hexadecimal digests of which the content must have one."""
    if key.backend == _BUNDLE:
        return frozenset((_text(key.name.rpartition(b"-")[2]),))
    digest = key.name.partition(b".")[0]
    # An old bug left keys whose name starts with a backslash; git-annex accepts them.
    return frozenset((_text(digest), _text(digest.removeprefix(b"\\"))))


def _text(digest: bytes) -> str:
    return digest.decode("latin-1")


def started(algorithm: Algorithm, key: Key) -> Digest:
    """A digest of nothing yet. Raises NotVerifiable, naming the module to install."""
    try:
        return algorithm.start()
    except ImportError as error:
        detail = f"the Python module {error.name or error} is missing; install it on the server"
        raise NotVerifiable(key=key, detail=detail) from error
