"""The messages of the P2P protocol, versions 0 to 4 (spec 01 §4.2).

One frozen class a message: its word on the wire, and its fields as values. How fields
become bytes is in `grammar`, when a message may be said is in `conversation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, dataclass_transform

from annexshell.model.ids import UUID
from annexshell.model.key import Key

NEWEST_VERSION = 4

_set = object.__setattr__


@dataclass_transform(frozen_default=True)
class Message:
    """Anything either side may say: a value, equal to another of its class and fields.

    attrs would write six methods for each of the thirty classes at every start; these
    four serve them all, and a session starts a tenth sooner.
    """

    word: ClassVar[bytes]
    fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.fields = tuple(cls.__dict__.get("__annotations__", ()))

    def __init__(self, *values: Any, **named: Any) -> None:
        given: Iterable[tuple[str, Any]] = zip(self.fields, values, strict=False)
        if named or len(values) != len(self.fields):
            # The parser and most answers give all of them, in their order.
            given = self._completed(dict(given), len(values), named)
        for field, value in given:
            _set(self, field, value)

    def _completed(
        self, given: dict[str, Any], count: int, named: dict[str, Any]
    ) -> Iterable[tuple[str, Any]]:
        """All that is given, where the rest has defaults. Raises TypeError."""
        given |= named
        unset = (f for f in self.fields if f not in given and not hasattr(self, f))
        if any(unset) or len(given) != count + len(named):
            raise TypeError(f"{type(self).__name__} takes {self.fields}")
        return given.items()

    def values(self) -> tuple[Any, ...]:
        """The fields, in the order of the wire."""
        return tuple(getattr(self, field) for field in self.fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.values() == other.values()

    def __hash__(self) -> int:
        return hash((type(self), self.values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{f}={getattr(self, f)!r}" for f in self.fields)
        return f"{type(self).__name__}({fields})"


class Auth(Message):
    word = b"AUTH"
    uuid: UUID
    token: bytes


class AuthSuccess(Message):
    word = b"AUTH-SUCCESS"
    uuid: UUID


class AuthFailure(Message):
    word = b"AUTH-FAILURE"


class Version(Message):
    word = b"VERSION"
    number: int


class Bypass(Message):
    """Gateways that the client's request has passed already."""

    word = b"BYPASS"
    uuids: tuple[UUID, ...] = ()


class Error(Message):
    word = b"ERROR"
    text: bytes = b""


class CheckPresent(Message):
    word = b"CHECKPRESENT"
    key: Key


class LockContent(Message):
    word = b"LOCKCONTENT"
    key: Key


class UnlockContent(Message):
    word = b"UNLOCKCONTENT"


class Remove(Message):
    word = b"REMOVE"
    key: Key


class RemoveBefore(Message):
    """``timestamp`` is in seconds of the server's own clock, see GETTIMESTAMP."""

    word = b"REMOVE-BEFORE"
    timestamp: int
    key: Key


class GetTimestamp(Message):
    word = b"GETTIMESTAMP"


class Timestamp(Message):
    word = b"TIMESTAMP"
    seconds: int


class Get(Message):
    """``offset`` in bytes; ``name`` is the associated file, empty if there is none."""

    word = b"GET"
    offset: int
    name: bytes
    key: Key


class Put(Message):
    word = b"PUT"
    name: bytes
    key: Key


class PutFrom(Message):
    word = b"PUT-FROM"
    offset: int


class AlreadyHave(Message):
    word = b"ALREADY-HAVE"


class AlreadyHavePlus(Message):
    word = b"ALREADY-HAVE-PLUS"
    uuids: tuple[UUID, ...] = ()


class Data(Message):
    """``length`` raw bytes follow; they never enter the parser."""

    word = b"DATA"
    length: int


class DataPresent(Message):
    word = b"DATA-PRESENT"


class Valid(Message):
    word = b"VALID"


class Invalid(Message):
    word = b"INVALID"


class Success(Message):
    word = b"SUCCESS"


class SuccessPlus(Message):
    word = b"SUCCESS-PLUS"
    uuids: tuple[UUID, ...] = ()


class Failure(Message):
    word = b"FAILURE"


class FailurePlus(Message):
    word = b"FAILURE-PLUS"
    uuids: tuple[UUID, ...] = ()


class Connect(Message):
    word = b"CONNECT"
    service: bytes


class ConnectDone(Message):
    word = b"CONNECTDONE"
    exit_code: int


class NotifyChange(Message):
    word = b"NOTIFYCHANGE"


class Changed(Message):
    word = b"CHANGED"
    shas: tuple[bytes, ...] = ()
