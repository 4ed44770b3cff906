"""Digests by backend, against the vectors of spec 02 §3.2."""

from __future__ import annotations

import pytest

from annexshell.errors import KeyNotStorable
from annexshell.model.key import Key
from annexshell.repository.hashing import (
    Verifier,
    check_computable,
    is_secure,
    is_verifiable,
)

HELLO = b"hello\n"
DIGESTS = {
    "SHA256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
    "SHA224": "2d6d67d91d0badcdd06cbbba1fe11538a68a37ec9c2e26457ceff12b",
    "SHA384": "1d0f284efe3edea4b9ca3bd514fa134b17eae361ccc7a1eefeff801b9bd6604e"
    "01f21f6bf249ef030599f0c218f2ba8c",
    "SHA512": "e7c22b994c59d9cf2b48e549b1e24666636045930d3da7c1acb299d1c3b7f931"
    "f94aae41edda2c2b207a36e10f8bcb8d45223e54878f5b316e7ce3b6bc019629",
    "SHA3_224": "5093b1ea1fed43f347b4bf8f8e61334e751516506e390b0fa67758d3",
    "SHA3_256": "b314e28493eae9dab57ac4f0c6d887bddbbeb810e900d818395ace558e96516d",
    "SHA3_384": "459b2844fea6e3a937a8397c0d69c06d9c6c943e155da454c638f5424296e994"
    "fd0339ea234367ff014493b51adb9d2e",
    "SHA3_512": "ac766ba623301e0ad63c48cb2fc469d10145f65c9f1f28fe761c78c386ed295a"
    "1fda1b05e280354e620757d8a83e05a45f66438dd734278668c1c27ac6f27150",
    "BLAKE2B160": "d2f799bb9610968a2efa8f7682d5f2f1d45163d7",
    "BLAKE2B256": "93becc6e9882211c3ec3708c95bcd69baab7bb59c7f4bc84ce637b88a534b783",
    "BLAKE2S160": "89d3241bbf3550d9c7d948399d88c392077330c8",
    "BLAKE2S256": "3969b3926654065966b6f8d9a65789b0f76d56e1e2ab67dd94faa770959187ca",
    "SHA1": "f572d396fae9206628714fb2ce00f72e94f2258f",
    "MD5": "b1946ac92492d2347c6235b4d2611184",
}
LONG = bytes((7 * i + 3) % 256 for i in range(5000))
LONG_SHA256 = "34398b85297bf7d9dfb59b8d511d8bbb44ab23e891570e4395e7871475fc8afb"


def verdict(key: str, data: bytes) -> bool:
    verifier = Verifier(Key.parse(key.encode()))
    for start in range(0, len(data), 1000):
        verifier.update(data[start : start + 1000])
    return verifier.ok()


@pytest.mark.parametrize("backend", DIGESTS)
def test_vectors(backend: str) -> None:
    digest = DIGESTS[backend]
    for key in (
        f"{backend}-s6--{digest}",
        f"{backend}--{digest}",
        f"{backend}E-s6--{digest}.txt",
        f"{backend}-s6--{digest}.txt",
        f"{backend}-s6--\\{digest}",
    ):
        assert verdict(key, HELLO), key
        assert not verdict(key, b"hallo\n"), key
    assert not verdict(f"{backend}-s6--{digest.upper()}", HELLO)
    assert not verdict(f"{backend}-s6--{digest[:-1]}", HELLO)


def test_content_of_several_chunks() -> None:
    assert verdict(f"SHA256-s5000--{LONG_SHA256}", LONG)
    assert not verdict(f"SHA256-s5000--{LONG_SHA256}", LONG[:-1])


def test_d9_the_size_counts_also_when_the_digest_matches() -> None:
    assert not verdict(f"SHA256-s7--{DIGESTS['SHA256']}", HELLO)


def test_bundles_have_their_digest_last() -> None:
    assert verdict(f"GITBUNDLE-s6--uuid-{DIGESTS['SHA256']}", HELLO)
    assert not verdict(f"GITBUNDLE-s6--uuid-\\{DIGESTS['SHA256']}", HELLO)
    assert not verdict(f"GITBUNDLE-s6--{DIGESTS['SHA256']}-uuid", HELLO)


@pytest.mark.parametrize(
    "key",
    ["WORM-s6--x", "URL-s6--x", "SHA257-s6--x", "sha256-s6--x", "GITMANIFEST-s6--x"],
)
def test_what_nobody_can_verify_is_held_to_its_size(key: str) -> None:
    parsed = Key.parse(key.encode())
    check_computable(parsed)
    assert not is_verifiable(parsed)
    assert not is_secure(parsed)
    assert verdict(key, b"123456")
    assert not verdict(key, b"12345")
    assert not verdict(key, b"1234567")


@pytest.mark.parametrize(
    "backend",
    "SKEIN256 SKEIN512E BLAKE2BP512 BLAKE2SP224 BLAKE2SP256E BLAKE3_256 BLAKE3_256E"
    " XXH3 XXH3E VURL XFOO XFOOE X".split(),
)
def test_known_backends_that_cannot_be_computed_are_refused(backend: str) -> None:
    with pytest.raises(KeyNotStorable):
        check_computable(Key.parse(f"{backend}-s6--x".encode()))


@pytest.mark.parametrize(
    ("backend", "secure"),
    [
        *((b, b not in ("SHA1", "MD5")) for b in DIGESTS),
        ("SHA256E", True),
        ("MD5E", False),
        ("SKEIN512E", True),
        ("GITBUNDLE", True),
        ("XXH3", False),
        ("XFOO", False),
        ("VURL", False),
    ],
)
def test_secure_hashes(backend: str, secure: bool) -> None:
    assert is_secure(Key.parse(f"{backend}--x".encode())) is secure
