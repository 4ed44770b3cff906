"""Pointer files: what stands in the work tree for content that is not there (spec 02 §13.1).

Pure. Names are read strictly: a pointer whose key is not spelled as we would spell it is
none of ours, and is left alone.
"""

from __future__ import annotations

import hashlib

from annexshell.errors import MalformedKey
from annexshell.model.key import Key, from_file_name

MAX_POINTER = 32768
"""Bytes; what is longer is no pointer."""

_OBJECTS = b"/annex/objects/"
_ANNEX = b"/annex/"


def pointer_text(key: Key) -> bytes:
    """The content of a pointer file as it is written."""
    return _OBJECTS + key.file_name + b"\n"


def pointer_key(content: bytes) -> Key | None:
    """The key that ``content`` points to; None if it is not a pointer file's."""
    if len(content) > MAX_POINTER:
        return None
    first, _, rest = content.partition(b"\n")
    first = first.removesuffix(b"\r")
    if _OBJECTS not in first or not _continues(rest):
        return None
    try:
        return from_file_name(first.rpartition(b"/")[2])
    except MalformedKey:
        return None


def pointer_blob(key: Key, algorithm: str = "sha1") -> bytes:
    """The name, in hex, that git gives to the blob of the pointer file."""
    text = pointer_text(key)
    digest = hashlib.new(algorithm, usedforsecurity=False)
    digest.update(b"blob %d\0" % len(text) + text)
    return digest.hexdigest().encode()


def _continues(rest: bytes) -> bool:
    # Later versions of git-annex may have more to say, on lines that look like this.
    if not rest:
        return True
    *lines, last = rest.split(b"\n")
    return not last and all(_ANNEX in line for line in lines)
