"""Pointer files (spec 02 §13.1)."""

from __future__ import annotations

import subprocess

import pytest

from annexshell.model.key import Key
from annexshell.repository.pointers import pointer_blob, pointer_key, pointer_text
from tests.support.content import HELLO, sha256_key

WORM = Key.parse(b"WORM--a")
START = b"/annex/objects/WORM--a\n"
LINE = b"/annex/ " + b"x" * 55 + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        b"/annex/objects/WORM--a",
        START,
        b"/annex/objects/WORM--a\r\n",
        b"xx/annex/objects/dd/WORM--a\n",
        START + b"foo /annex/ bar\n",
        START + LINE * ((32768 - len(START)) // 64) + b"/annex/" + b"x" * 33 + b"\n",
    ],
    ids=range(6),
)
def test_pointers(content: bytes) -> None:
    assert len(content) < 1000 or len(content) == 32768
    assert pointer_key(content) == WORM


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"annex/objects/WORM--a\n",
        b"\n" + START,
        START + b"foo\n",
        START + b"\n",
        START + b"foo /annex/ bar",
        START + b"foo /annex/ bar\nfoo\n",
        START + LINE * ((32768 - len(START)) // 64) + b"/annex/" + b"x" * 34 + b"\n",
        b"/annex/objects/no key\n",
        b"/annex/objects/WORM--a\r\r\n/annex/",
        b"/annex/objects/SHA256-s05--x\n",
        b"/annex/objects/WORM--a&zb\n",
    ],
    ids=range(12),
)
def test_no_pointers(content: bytes) -> None:
    assert pointer_key(content) is None


@pytest.mark.parametrize("text", [b"WORM--a", b"URL--http://x/y&z%1", b"MD5E-s1--a.b"])
def test_what_is_written_is_recognised(text: bytes) -> None:
    key = Key.parse(text)
    assert pointer_text(key) == b"/annex/objects/" + key.file_name + b"\n"
    assert pointer_key(pointer_text(key)) == key


def test_the_blob_is_the_one_that_git_makes() -> None:
    key = sha256_key(HELLO)
    made = subprocess.run(
        ["git", "hash-object", "--stdin"],
        input=pointer_text(key),
        check=True,
        capture_output=True,
    )
    assert pointer_blob(key) == made.stdout.strip()
    assert len(pointer_blob(key, "sha256")) == 64
