"""Messages to lines and back: one row a message, two functions a kind of field.

A line is words separated by exactly one space or tab; the last field takes the rest of the
line as it is, so that keys keep their spaces (spec 01 §4.1). Everything is bytes: no
locale has a say in what a key or a file name is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from annexshell.errors import Malformed, MalformedKey
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.protocol import messages as m

MAX_LINE = 32767
"""Bytes before the line feed; a line of more is the end of the connection."""

_SEPARATOR = re.compile(rb"[ \t]")
_SPACE, _TAB = b" ", b"\t"
_NUMBER = re.compile(rb"-?[0-9]{1,4000}\Z")
_WHITE = re.compile(rb"[ \t\n\r\x0b\x0c]")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_LINE_BREAKS = re.compile(rb"[\r\n]+")
_SERVICES = (b"git-upload-pack", b"git-receive-pack")
_LAST_KEYS = 32
"""Keys that are remembered: a client asks for one, fetches or sends it, and drops it."""


class Kind(NamedTuple):
    """A kind of field: how it is read from the wire, and how it is written."""

    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]


def _read_number(text: bytes) -> int:
    if not _NUMBER.match(text):
        raise Malformed()
    return int(text)


def _read_count(text: bytes) -> int:
    number = _read_number(text)
    if number < 0:
        raise Malformed()
    return number


def _write_number(number: int) -> bytes:
    return b"%d" % number


def read_name(text: bytes) -> bytes:
    """An associated file as it is on the wire to one that can be shown (spec 01 §4.5)."""
    parts = text.split(b"%%")
    name = b"%".join(part.replace(b"%", b"_") for part in parts)
    if name.startswith(b"/"):
        raise Malformed()
    return _CONTROL.sub(b"_", name)


def write_name(name: bytes) -> bytes:
    """An associated file in the wire's form: one word, whatever bytes it holds."""
    return _WHITE.sub(b"%", name.replace(b"%", b"%%"))


@lru_cache(_LAST_KEYS)
def _read_key(text: bytes) -> Key:
    try:
        return Key.parse(text)
    except MalformedKey as error:
        raise Malformed() from error


def _write_key(key: Key) -> bytes:
    return key.text


def _read_words(text: bytes) -> tuple[bytes, ...]:
    return tuple(text.split())


def _write_words(words: tuple[bytes, ...]) -> bytes:
    return b" ".join(words)


def _read_service(text: bytes) -> bytes:
    if text not in _SERVICES:
        raise Malformed()
    return text


def _as_is(text: bytes) -> bytes:
    return text


def _read_uuid(text: bytes) -> UUID:
    return UUID(text)


def _write_text(text: bytes) -> bytes:
    # Longer texts, or ones of two lines, would be read as something else.
    return _LINE_BREAKS.sub(b" ", text)[: MAX_LINE - 100]


KEY = Kind(_read_key, _write_key)
NAME = Kind(read_name, write_name)
NUMBER = Kind(_read_number, _write_number)
COUNT = Kind(_read_count, _write_number)
WORDS = Kind(_read_words, _write_words)
TEXT = Kind(_as_is, _write_text)
ID = Kind(_read_uuid, _as_is)
SERVICE = Kind(_read_service, _as_is)

_OPTIONAL = (WORDS, TEXT, ID)
"""Kinds whose last field may be missing together with its separator."""

FORMS: dict[type[m.Message], tuple[Kind, ...]] = {
    m.Auth: (ID, TEXT),
    m.AuthSuccess: (ID,),
    m.AuthFailure: (),
    m.Version: (COUNT,),
    m.Bypass: (WORDS,),
    m.Error: (TEXT,),
    m.CheckPresent: (KEY,),
    m.LockContent: (KEY,),
    m.UnlockContent: (),
    m.Remove: (KEY,),
    m.RemoveBefore: (NUMBER, KEY),
    m.GetTimestamp: (),
    m.Timestamp: (NUMBER,),
    m.Get: (NUMBER, NAME, KEY),
    m.Put: (NAME, KEY),
    m.PutFrom: (NUMBER,),
    m.AlreadyHave: (),
    m.AlreadyHavePlus: (WORDS,),
    m.Data: (NUMBER,),
    m.DataPresent: (),
    m.Valid: (),
    m.Invalid: (),
    m.Success: (),
    m.SuccessPlus: (WORDS,),
    m.Failure: (),
    m.FailurePlus: (WORDS,),
    m.Connect: (SERVICE,),
    m.ConnectDone: (NUMBER,),
    m.NotifyChange: (),
    m.Changed: (WORDS,),
}

_BY_WORD = {message.word: (message, kinds) for message, kinds in FORMS.items()}
_BARE = {message.word: message() for message, kinds in FORMS.items() if not kinds}
"""Messages without fields: values, so one of each will do."""
_BARE_LINES = {type(message): word + b"\n" for word, message in _BARE.items()}


def read_line(line: bytes) -> m.Message:
    """The message that a line, without its line end, spells. Raises Malformed."""
    bare = _BARE.get(line)
    if bare is not None:
        return bare
    word, separator, text = line.partition(_SPACE)
    if _TAB in word:
        word, separator, text = line.partition(_TAB)
    found = _BY_WORD.get(word)
    if found is None:
        raise Malformed()
    message, kinds = found
    if len(kinds) == 1 and separator:
        # As most requests are.
        return message(kinds[0].read(text))
    return message(*_read_fields(kinds, [text] if separator else []))


def _split(text: bytes, most: int) -> list[bytes]:
    # Nobody writes tabs, and without them it takes no regular expression.
    if _TAB in text:
        return _SEPARATOR.split(text, maxsplit=most)
    return text.split(_SPACE, most)


def _read_fields(kinds: tuple[Kind, ...], rest: list[bytes]) -> list[Any]:
    if not kinds:
        # One trailing separator is tolerated: `GETTIMESTAMP ` is what some clients say.
        if rest and rest[0]:
            raise Malformed()
        return []
    texts = rest
    if rest and len(kinds) > 1:
        texts = _split(rest[0], len(kinds) - 1)
    if len(texts) == len(kinds) - 1 and kinds[-1] in _OPTIONAL:
        texts = [*texts, b""]
    if len(texts) != len(kinds):
        raise Malformed()
    return [kind.read(text) for kind, text in zip(kinds, texts, strict=True)]


def write_line(message: m.Message) -> bytes:
    """The line that spells a message, with its line feed."""
    bare = _BARE_LINES.get(type(message))
    if bare is not None:
        return bare
    values = zip(FORMS[type(message)], message.values(), strict=True)
    words = [kind.write(value) for kind, value in values]
    return b" ".join([message.word, *words]) + b"\n"
