"""The messages of the P2P protocol, versions 0 to 4 (spec 01 §4.2).

One frozen class a message: its word on the wire, and its fields as values. How fields
become bytes is in `grammar`, when a message may be said is in `conversation`.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from annexshell.model.ids import UUID
from annexshell.model.key import Key

NEWEST_VERSION = 4


class Message:
    """Anything either side may say."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]]
    word: ClassVar[bytes]


@attrs.frozen
class Auth(Message):
    word = b"AUTH"
    uuid: UUID
    token: bytes


@attrs.frozen
class AuthSuccess(Message):
    word = b"AUTH-SUCCESS"
    uuid: UUID


@attrs.frozen
class AuthFailure(Message):
    word = b"AUTH-FAILURE"


@attrs.frozen
class Version(Message):
    word = b"VERSION"
    number: int


@attrs.frozen
class Bypass(Message):
    """Gateways that the client's request has passed already."""

    word = b"BYPASS"
    uuids: tuple[UUID, ...] = ()


@attrs.frozen
class Error(Message):
    word = b"ERROR"
    text: bytes = b""


@attrs.frozen
class CheckPresent(Message):
    word = b"CHECKPRESENT"
    key: Key


@attrs.frozen
class LockContent(Message):
    word = b"LOCKCONTENT"
    key: Key


@attrs.frozen
class UnlockContent(Message):
    word = b"UNLOCKCONTENT"


@attrs.frozen
class Remove(Message):
    word = b"REMOVE"
    key: Key


@attrs.frozen
class RemoveBefore(Message):
    """``timestamp`` is in seconds of the server's own clock, see GETTIMESTAMP."""

    word = b"REMOVE-BEFORE"
    timestamp: int
    key: Key


@attrs.frozen
class GetTimestamp(Message):
    word = b"GETTIMESTAMP"


@attrs.frozen
class Timestamp(Message):
    word = b"TIMESTAMP"
    seconds: int


@attrs.frozen
class Get(Message):
    """``offset`` in bytes; ``name`` is the associated file, empty if there is none."""

    word = b"GET"
    offset: int
    name: bytes
    key: Key


@attrs.frozen
class Put(Message):
    word = b"PUT"
    name: bytes
    key: Key


@attrs.frozen
class PutFrom(Message):
    word = b"PUT-FROM"
    offset: int


@attrs.frozen
class AlreadyHave(Message):
    word = b"ALREADY-HAVE"


@attrs.frozen
class AlreadyHavePlus(Message):
    word = b"ALREADY-HAVE-PLUS"
    uuids: tuple[UUID, ...] = ()


@attrs.frozen
class Data(Message):
    """``length`` raw bytes follow; they never enter the parser."""

    word = b"DATA"
    length: int


@attrs.frozen
class DataPresent(Message):
    word = b"DATA-PRESENT"


@attrs.frozen
class Valid(Message):
    word = b"VALID"


@attrs.frozen
class Invalid(Message):
    word = b"INVALID"


@attrs.frozen
class Success(Message):
    word = b"SUCCESS"


@attrs.frozen
class SuccessPlus(Message):
    word = b"SUCCESS-PLUS"
    uuids: tuple[UUID, ...] = ()


@attrs.frozen
class Failure(Message):
    word = b"FAILURE"


@attrs.frozen
class FailurePlus(Message):
    word = b"FAILURE-PLUS"
    uuids: tuple[UUID, ...] = ()


@attrs.frozen
class Connect(Message):
    word = b"CONNECT"
    service: bytes


@attrs.frozen
class ConnectDone(Message):
    word = b"CONNECTDONE"
    exit_code: int


@attrs.frozen
class NotifyChange(Message):
    word = b"NOTIFYCHANGE"


@attrs.frozen
class Changed(Message):
    word = b"CHANGED"
    shas: tuple[bytes, ...] = ()
