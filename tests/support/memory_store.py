"""A Store in memory: the model of any Store, held to the same conformance suite."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from annexshell.errors import AnnexshellError, ContentLocked, TransferInProgress
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity, nothing
from annexshell.store import AlreadyHave, HeldLock, Intake, Outcome
from annexshell.transport import moving


def key_of(content: bytes, backend: bytes = b"SHA256") -> Key:
    """The key whose content is ``content``."""
    digest = hashlib.sha256(content).hexdigest().encode()
    return Key.parse(b"%s-s%d--%s" % (backend, len(content), digest))


def is_content(key: Key, content: bytes) -> bool:
    """Whether ``content`` is the key's, as far as SHA256 and sizes can tell."""
    if key.size is not None and len(content) != key.size:
        return False
    if not key.backend.startswith(b"SHA256"):
        return True
    return key.name.split(b".")[0].decode() == hashlib.sha256(content).hexdigest()


@attrs.define
class MemoryStore:
    """``now`` is its clock; ``refusal`` is raised by every request while it is set."""

    contents: dict[Key, bytes] = attrs.field(factory=dict)
    partial: dict[Key, bytes] = attrs.field(factory=dict)
    locks: dict[Key, int] = attrs.field(factory=dict)
    retained: set[Key] = attrs.field(factory=set)
    incoming: set[Key] = attrs.field(factory=set)
    now: int = 1000
    refusal: AnnexshellError | None = None

    def add(self, content: bytes) -> Key:
        key = key_of(content)
        self.contents[key] = content
        return key

    def _check(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def present(self, key: Key) -> bool:
        self._check()
        return key in self.contents

    @asynccontextmanager
    async def lock(self, key: Key) -> AsyncIterator[HeldLock | None]:
        self._check()
        if key not in self.contents:
            yield None
            return
        self.locks[key] = self.locks.get(key, 0) + 1
        held = _Held()
        try:
            yield held
        finally:
            self.locks[key] -= 1
            if not held.unlocked:
                self.retained.add(key)

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        self._check()
        if key not in self.contents:
            return Outcome(True)
        if self.locks.get(key) or key in self.retained:
            raise ContentLocked(key=key, detail="in memory")
        if before is not None and self.now >= before:
            return Outcome(False)
        del self.contents[key]
        return Outcome(True)

    @asynccontextmanager
    async def get(self, key: Key, offset: int, name: bytes) -> AsyncIterator[Payload]:
        self._check()
        content = self.contents.get(key)
        if content is None:
            yield nothing(Validity.INVALID)
            return
        fd = os.memfd_create("content")
        try:
            os.write(fd, content)
            start = min(offset, len(content))
            yield Payload(len(content) - start, fd, position=start, verdict=_valid)
        finally:
            os.close(fd)

    @asynccontextmanager
    async def put(self, key: Key, name: bytes) -> AsyncIterator[Intake | AlreadyHave]:
        self._check()
        if key in self.contents:
            yield AlreadyHave()
            return
        if key in self.incoming:
            raise TransferInProgress(key=key)
        self.incoming.add(key)
        try:
            yield _MemoryIntake(self, key, len(self.partial.get(key, b"")))
        finally:
            self.incoming.discard(key)

    async def timestamp(self) -> int:
        self._check()
        return self.now


async def _valid() -> Validity:
    return Validity.VALID


@attrs.define
class _Held:
    unlocked: bool = False

    async def unlock(self) -> None:
        self.unlocked = True


@attrs.define
class _MemoryIntake:
    store: MemoryStore
    key: Key
    offset: int

    async def accept(self, payload: Payload) -> Outcome:
        received = bytearray(self.store.partial.pop(self.key, b""))

        async def take(piece: memoryview) -> None:
            received.extend(piece)

        try:
            # Odd pieces of what is small; what is large would take too many.
            await moving.feed(payload, take, 7 if payload.length < 1000 else 1 << 16)
            verdict = await payload.verdict()
        except BaseException:
            self.store.partial[self.key] = bytes(received)
            raise
        if payload.length == 0 and verdict is Validity.INVALID:
            self.store.partial[self.key] = bytes(received)
            return Outcome(False)
        vouched = verdict is not Validity.INVALID or self.key.backend == b"SHA256"
        if not vouched or not is_content(self.key, bytes(received)):
            return Outcome(False)
        self.store.contents[self.key] = bytes(received)
        return Outcome(True)

    async def adopt(self) -> Outcome:
        return Outcome(self.key in self.store.contents)
