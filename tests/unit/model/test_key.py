"""Keys, their canonical text and their file names: the vectors of spec 02 §2."""

from __future__ import annotations

import pytest

from annexshell.errors import MalformedKey
from annexshell.model.key import Key, from_file_name

A63, A64 = b"a" * 63, b"a" * 64

VALID = [
    b"SHA256--",
    b"SHA256-s5---x",
    b"WORM--a-b--c",
    b"SHA256-s99999999999999999999999999--x",
    b"A B--x",
    b"SHA256-s5--a b",
    b"X--x",
    b"XE--x",
    b"sha256--x",
    b"SHA256-s10-S4-C2--abc",
    b"SHA256-S5--x",
    b"WORM-s1--../x",
    b"SHA256E--x." + A63,
    b"SHA256--x." + A64,
    b"GITBUNDLE--x." + A64,
    b"FOO--x." + A64,
    b"WORM--a\xff\xfe",
]
INVALID = [
    b"SHA256-",
    b"foo",
    b"--foo",
    b"SHA256-s1-",
    b"SHA256-s-1--x",
    b"SHA256-s--x",
    b"SHA256-s+5--x",
    b"SHA256-s5 --x",
    b"SHA256-s5-q5--x",
    b"SHA256-m5-s5--x",
    b"SHA256-C0-S5--x",
    b"SHA256E--x." + A64,
    b"BLAKE3_256E--x." + A64,
    b"XXH3E--x." + A64,
    b"XFOOE--x." + A64,
    b"FILE--x." + A64,
    b"WORM-m9223372036854775808--x",
    b"WORM--a\0b",
    b"WORM--a\nb",
    b"SHA256-s" + b"9" * 5000 + b"--x",
]


@pytest.mark.parametrize("text", VALID, ids=repr)
def test_a_valid_key_is_its_own_text(text: bytes) -> None:
    assert Key.parse(text).text == text


@pytest.mark.parametrize("text", INVALID, ids=lambda text: repr(text[:40]))
def test_an_invalid_key_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedKey, match="bad key"):
        Key.parse(text)


@pytest.mark.parametrize(
    "text, canonical",
    [
        (b"SHA256-s05--x", b"SHA256-s5--x"),
        (b"WORM-s007-m000--x", b"WORM-s7-m0--x"),
        (b"WORM-s007--x", b"WORM-s7--x"),
        (b"WORM-s0--x", b"WORM-s0--x"),
        (b"WORM-s70--x", b"WORM-s70--x"),
    ],
)
def test_only_the_canonical_text_is_used(text: bytes, canonical: bytes) -> None:
    assert Key.parse(text) == Key.parse(canonical)
    assert Key.parse(text).text == canonical


@pytest.mark.parametrize(
    "text, name",
    [
        (b"URL--http://www.example.com/foo", b"URL--http&c%%www.example.com%foo"),
        (
            b"URL--http&c%%www.example.com%foo",
            b"URL--http&ac&s&swww.example.com&sfoo",
        ),
        (b"MD5E-s1--a.b/c%d:e&f", b"MD5E-s1--a.b%c&sd&ce&af"),
    ],
)
def test_file_names(text: bytes, name: bytes) -> None:
    assert Key.parse(text).file_name == name
    assert from_file_name(name) == Key.parse(text)


@pytest.mark.parametrize(
    "name", [b"WORM--a&b", b"WORM--a&", b"WORM--a&&b", b"WORM--a:b", b"WORM-s05--x"]
)
def test_a_name_that_no_key_has_is_refused(name: bytes) -> None:
    with pytest.raises(MalformedKey):
        from_file_name(name)


def test_chunks_share_the_directories_of_their_key() -> None:
    chunk, whole = Key.parse(b"SHA256-s10-S4-C2--abc"), Key.parse(b"SHA256-s10--abc")
    assert chunk.without_chunk() == whole == whole.without_chunk()
    assert chunk.digest == whole.digest
    assert chunk.digest.hex().startswith("f199a4")
