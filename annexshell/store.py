"""Store: whoever can answer for the content of keys.

The connection that serves a client cannot tell what is behind it: this repository, a
proxied remote, or a cluster. Six methods, each with its contract; `tests/conformance`
holds every implementation to them. Requests that cannot be carried out raise RequestError
(the client gets its text and the connection goes on).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload


@attrs.frozen
class Outcome:
    """What became of a PUT or a REMOVE.

    ``others`` are repositories, besides the one that was asked, for which it became true;
    they are named even where the whole failed (spec 01 §8.6). ``reason`` is for the person
    at the client.
    """

    ok: bool
    others: tuple[UUID, ...] = ()
    reason: str = ""


@attrs.frozen
class AlreadyHave:
    """The answer to PUT where the content is present already."""

    others: tuple[UUID, ...] = ()


class Intake(Protocol):
    """A Store that is ready to receive one key."""

    @property
    def offset(self) -> int:
        """The bytes already here; the sender goes on from this one."""

    async def accept(self, payload: Payload) -> Outcome:
        """Receive the rest and keep it if it is the key's content.

        ok only when the content is verified, durable, in place and logged. Whatever the
        outcome, ``payload.remaining`` tells how much was not read.
        """

    async def adopt(self) -> Outcome:
        """DATA-PRESENT: the content was put in place by other means; ok if it is there."""


class HeldLock(Protocol):
    """Content that cannot be removed now."""

    async def unlock(self) -> None:
        """The locker is done with it in good order.

        Leaving the lock's block without this is the death of the locker: the retention it
        was promised stays (spec 01 §5.4).
        """


class Store(Protocol):
    """Content of keys, wherever it is (spec 01 §5)."""

    async def present(self, key: Key) -> bool:
        """Whether the content is here, now. Never guessed: failing to know raises."""

    def lock(self, key: Key) -> AbstractAsyncContextManager[HeldLock | None]:
        """Keep the content from being removed; None if absent or being removed."""

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        """Make the content absent; ok also if it was.

        ``before`` is a time of this store's own `timestamp`, in seconds: from then on the
        content must not be removed.
        """

    def get(
        self, key: Key, offset: int, name: bytes
    ) -> AbstractAsyncContextManager[Payload]:
        """The content from byte ``offset`` on; absent content is an empty INVALID payload."""

    def put(
        self, key: Key, name: bytes
    ) -> AbstractAsyncContextManager[Intake | AlreadyHave]:
        """Get ready to receive the content. Leaving without `Intake.accept` gives up."""

    async def timestamp(self) -> int:
        """Seconds of the clock that ``before`` is compared with."""


Looking = Callable[[Key], "bool | None"]


def at_once(store: Store) -> Looking:
    """`Store.present` for who need not wait: None, with nothing done, where somebody had to
    be waited for, or where there is more to do than to look. Raises as that does.

    A Store that may know it has a method ``present_at_once``. It saves what a wait costs: to
    look after the client meanwhile, and the way back.
    """
    look: Looking = getattr(store, "present_at_once", _unknown)
    return look


def _unknown(key: Key) -> bool | None:
    return None
