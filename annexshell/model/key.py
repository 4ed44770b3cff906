"""Keys: their text, their fields, and the file name made from them (spec 02 §2).

The grammar is strict on purpose, and what comes in is canonicalised: only the text that
`Key.text` gives may name a file or stand in a log.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import overload

import attrs

from annexshell.errors import MalformedKey

_GRAMMAR = re.compile(
    rb"(?P<backend>[^-]+)"
    rb"(?:-s(?P<size>[0-9]+))?"
    rb"(?:-m(?P<mtime>[0-9]+))?"
    rb"(?:-S(?P<chunk_size>[0-9]+))?"
    rb"(?:-C(?P<chunk_number>[0-9]+))?"
    rb"--(?P<name>.*)",
    re.DOTALL,
)
_MAX_MTIME = 2**63 - 1
_MAX_EXTENSION = 64
_MAX_DIGITS = 4000
"""More digits than a protocol line needs; int() of longer texts would cost or fail."""

_NO_OTHERS = [None] * 3
"""Of a key without time and chunk."""

_ESCAPES = ((b"&", b"&a"), (b"%", b"&s"), (b":", b"&c"), (b"/", b"%"))


class _once:  # stands where property does
    """A property that is worked out once; functools' own takes a lock for that."""

    def __init__(self, work: Callable[[Key], bytes]) -> None:
        self._work = work
        self._name = work.__name__
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, key: None, kind: type[Key]) -> _once: ...

    @overload
    def __get__(self, key: Key, kind: type[Key]) -> bytes: ...

    def __get__(self, key: Key | None, kind: type[Key]) -> bytes | _once:
        if key is None:
            return self
        # Found there from now on, before this is asked.
        found = key.__dict__[self._name] = self._work(key)
        return found


@attrs.frozen(slots=False, cache_hash=True)
class Key:
    """One key. Equal keys have equal canonical texts."""

    backend: bytes
    name: bytes
    size: int | None = None
    mtime: int | None = None
    chunk_size: int | None = None
    chunk_number: int | None = None

    @classmethod
    def parse(cls, text: bytes) -> Key:
        """The key that ``text`` spells.

        Raises MalformedKey, also for what could not be a file name or a log line.
        """
        found = _GRAMMAR.fullmatch(text)
        if found is None:
            raise MalformedKey(key=text, detail="not of the form BACKEND-sSIZE--NAME")
        if b"\0" in text or b"\n" in text:
            raise MalformedKey(key=text, detail="contains a NUL or a line feed")
        backend, digits, *others, name = found.groups()
        if len(text) > _MAX_DIGITS and any(
            d and len(d) > _MAX_DIGITS for d in (digits, *others)
        ):
            raise MalformedKey(key=text, detail="a number is too long")
        size = None if digits is None else int(digits)
        if others == _NO_OTHERS:
            # As nearly all keys are.
            key = cls(backend, name, size)
            if digits is None or digits[:1] != b"0":
                # What came in is canonical already.
                key.__dict__["text"] = text
        else:
            mtime, *chunk = [None if d is None else int(d) for d in others]
            if (mtime or 0) > _MAX_MTIME:
                raise MalformedKey(key=text, detail="the time is out of range")
            key = cls(backend, name, size, mtime, *chunk)
        if key.has_extension and len(key.extension) > _MAX_EXTENSION:
            raise MalformedKey(key=text, detail="the extension is longer than 64 bytes")
        return key

    @_once
    def text(self) -> bytes:
        """The canonical serialisation."""
        if self.mtime is self.chunk_size is self.chunk_number is None:
            # As nearly all keys are.
            size = b"" if self.size is None else b"-s%d" % self.size
            return b"%b%b--%b" % (self.backend, size, self.name)
        numbers = (
            (b"-s", self.size),
            (b"-m", self.mtime),
            (b"-S", self.chunk_size),
            (b"-C", self.chunk_number),
        )
        fields = b"".join(b"%s%d" % (mark, n) for mark, n in numbers if n is not None)
        return self.backend + fields + b"--" + self.name

    @_once
    def file_name(self) -> bytes:
        """The canonical text escaped so that it is one component of a path (spec 02 §2.4)."""
        escaped = self.text
        for char, code in _ESCAPES:
            escaped = escaped.replace(char, code)
        return escaped

    @property
    def has_extension(self) -> bool:
        """Whether the backend's names end in a file name extension (spec 02 §2.1)."""
        return self.backend.endswith(b"E") and self.backend != b"GITBUNDLE"

    @property
    def extension(self) -> bytes:
        """Everything from the first dot of the name on, the dot included."""
        dot = self.name.find(b".")
        return b"" if dot < 0 else self.name[dot:]

    def without_chunk(self) -> Key:
        """The key this is a chunk of; hash directories are made from it (spec 02 §4.4)."""
        if self.chunk_size is None and self.chunk_number is None:
            return self
        return attrs.evolve(self, chunk_size=None, chunk_number=None)

    @_once
    def digest(self) -> bytes:
        """The MD5 that spreads keys over directories (spec 02 §4.4, spec 03 §2.1)."""
        return hashlib.md5(self.without_chunk().text, usedforsecurity=False).digest()

    def __str__(self) -> str:
        return self.text.decode("utf-8", "backslashreplace")


def from_file_name(name: bytes) -> Key:
    """The key whose file name is ``name``.

    Raises MalformedKey where `Key.file_name` would not give the same name back.
    """
    text = name.replace(b"%", b"/")
    for char, code in _ESCAPES[2::-1]:
        text = text.replace(code, char)
    key = Key.parse(text)
    if key.file_name != name:
        raise MalformedKey(key=name, detail="not the file name of a key")
    return key
