"""Whether bytes are a key's content: digests by backend (spec 02 §3).

The set of backends is closed. One that we know but cannot compute is refused, because
content that nobody verified would count as a good copy; one that git-annex does not know
either can only be checked by its size.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

from annexshell.errors import KeyNotStorable
from annexshell.model.key import Key


class Digest(Protocol):
    """What every hashlib object can do."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Algorithm(NamedTuple):
    start: Callable[[], Digest]
    secure: bool


def _plain(name: str, secure: bool) -> _Algorithm:
    return _Algorithm(lambda: hashlib.new(name, usedforsecurity=False), secure)


def _blake2b(bits: int) -> _Algorithm:
    return _Algorithm(lambda: hashlib.blake2b(digest_size=bits // 8), True)


def _blake2s(bits: int) -> _Algorithm:
    return _Algorithm(lambda: hashlib.blake2s(digest_size=bits // 8), True)


_ALGORITHMS: dict[bytes, _Algorithm] = {
    **{b"SHA%d" % n: _plain(f"sha{n}", True) for n in (224, 256, 384, 512)},
    **{b"SHA3_%d" % n: _plain(f"sha3_{n}", True) for n in (224, 256, 384, 512)},
    **{b"BLAKE2B%d" % n: _blake2b(n) for n in (160, 224, 256, 384, 512)},
    **{b"BLAKE2S%d" % n: _blake2s(n) for n in (160, 224, 256)},
    b"SHA1": _plain("sha1", False),
    b"MD5": _plain("md5", False),
}
_BUNDLE = b"GITBUNDLE"

_SECURE_UNCOMPUTED = re.compile(
    rb"(SKEIN(256|512)|BLAKE2BP512|BLAKE2SP(224|256)|BLAKE3_256)E?\Z"
)


def is_verifiable(key: Key) -> bool:
    """Whether the content can be checked against a digest in the key."""
    return _algorithm(key) is not None


def is_secure(key: Key) -> bool:
    """Whether annex.securehashesonly lets the key in (spec 02 §3.1)."""
    algorithm = _algorithm(key)
    if algorithm is not None:
        return algorithm.secure
    return _SECURE_UNCOMPUTED.match(key.backend) is not None


def check_computable(key: Key) -> None:
    """Refuse a key whose backend defines a digest that cannot be computed here.

    Unknown backends, WORM and URL pass: nobody could verify those. Raises KeyNotStorable.
    """
    backend = key.backend
    if is_verifiable(key):
        return
    if _SECURE_UNCOMPUTED.match(backend) or backend in (b"XXH3", b"XXH3E"):
        detail = "its digest cannot be computed here; use a SHA256 key"
    elif backend == b"VURL":
        detail = "VURL keys cannot be verified here; use a SHA256 key"
    elif backend.startswith(b"X"):
        detail = "external backends are not run here; use a SHA256 key"
    else:
        return
    raise KeyNotStorable(key=key, detail=detail)


class Verifier:
    """Takes a key's content in order and tells whether it was that."""

    def __init__(self, key: Key) -> None:
        self._key = key
        algorithm = _algorithm(key)
        self._digest = None if algorithm is None else algorithm.start()
        self.count = 0
        """Bytes taken so far."""

    @property
    def computes(self) -> bool:
        """Whether the bytes matter, and not only their number."""
        return self._digest is not None

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """The next bytes of the content."""
        if self._digest is not None:
            self._digest.update(chunk)
        self.count += len(chunk)

    def ok(self) -> bool:
        """Whether what was taken is the whole content, by size and by digest."""
        if self._key.size is not None and self._key.size != self.count:
            return False
        if self._digest is None:
            return True
        return self._digest.hexdigest().encode() in _expected(self._key)


def _algorithm(key: Key) -> _Algorithm | None:
    if key.backend == _BUNDLE:
        return _ALGORITHMS[b"SHA256"]
    found = _ALGORITHMS.get(key.backend)
    if found is None and key.backend.endswith(b"E"):
        found = _ALGORITHMS.get(key.backend[:-1])
    return found


def _expected(key: Key) -> tuple[bytes, ...]:
    if key.backend == _BUNDLE:
        return (key.name.rpartition(b"-")[2],)
    digest = key.name.partition(b".")[0]
    # An old bug left keys whose name starts with a backslash; git-annex accepts them.
    return (digest, digest.removeprefix(b"\\"))
