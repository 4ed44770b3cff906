"""annex.trashbin: content that is dropped goes to a remote first (spec 02 §11.4).

The remote is one of the repository that drops: a path, or reached by ssh. Where it cannot
be stored for certain nothing is removed, whatever the reason.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import attrs
import trio

from annexshell.errors import (
    AnnexshellError,
    PeerUnreachable,
    RemovalRefused,
    ShellError,
)
from annexshell.local.store import LocalStore
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID, is_cluster_uuid, looks_like_uuid
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.protocol.messages import NEWEST_VERSION
from annexshell.remotes.connect import SshConnector
from annexshell.remotes.peer import PeerStore
from annexshell.remotes.recipes import LocalPath, SshHost, recipe_for
from annexshell.repository.branch import Branch
from annexshell.repository.dropping import Trash
from annexshell.repository.objects import OpenObject
from annexshell.repository.open import Repository, locate, open_repository
from annexshell.repository.supported import require_served
from annexshell.repository.timeouts import node_timeout
from annexshell.serve.answers import nothing_to_do
from annexshell.store import AlreadyHave, Store

Action = Callable[[], Awaitable[None]]


@attrs.frozen
class _Bin:
    """A remote that keeps what others drop."""

    name: str
    uuid: UUID
    store: Store
    close: Action
    settle: Action = nothing_to_do


class RemoteTrash:
    """The trash bins of one session, opened when first needed."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._bins: dict[str, _Bin] = {}

    async def keep(self, repository: Repository, key: Key, content: OpenObject) -> UUID:
        """Store the content on the remote that annex.trashbin names; its uuid.

        Raises RemovalRefused.
        """
        name = repository.config.get("annex.trashbin") or ""
        try:
            found = self._bins.get(name)
            if found is None:
                found = self._bins[name] = await self._open(repository, name)
            refusal = await _store(found, key, content, repository.path)
        except (AnnexshellError, OSError) as error:
            raise _refused(key, name, error) from error
        if refusal:
            raise _refused(key, name, refusal)
        return found.uuid

    async def settle(self) -> None:
        for found in self._bins.values():
            await found.settle()

    async def aclose(self) -> None:
        while self._bins:
            await self._bins.popitem()[1].close()

    async def _open(self, repository: Repository, name: str) -> _Bin:
        config = repository.config
        if name not in config.remotes():
            raise PeerUnreachable(name=name, detail="it is the name of no remote")
        for setting in ("annex-ignore", "annex-readonly"):
            if config.boolean(f"remote.{name}.{setting}", False):
                detail = f"remote.{name}.{setting} is set"
                raise PeerUnreachable(name=name, detail=detail)
        if config.get(f"remote.{name}.url") is None:
            detail = "it has no url; special remotes cannot be used as trash bins here"
            raise PeerUnreachable(name=name, detail=detail)
        recipe = recipe_for(config, name)
        uuid = UUID(os.fsencode(config.get(f"remote.{name}.annex-uuid") or ""))
        if isinstance(recipe, LocalPath):
            return self._open_path(repository, name, uuid, recipe.path)
        _check(repository, name, uuid)
        return await _open_ssh(repository, name, uuid, recipe)

    def _open_path(
        self, repository: Repository, name: str, expected: UUID, path: str
    ) -> _Bin:
        try:
            found = open_repository(locate(os.path.join(repository.path, path), "/"))
            require_served(found)
        except ShellError as error:
            raise PeerUnreachable(name=name, detail=error) from error
        if expected and expected != found.uuid:
            detail = "another repository is there now"
            raise PeerUnreachable(name=name, detail=detail)
        _check(repository, name, found.uuid)
        store = LocalStore(found, repository.uuid, self._clock)
        return _Bin(name, found.uuid, store, store.aclose, store.settle)


async def _open_ssh(
    repository: Repository, name: str, uuid: UUID, host: SshHost
) -> _Bin:
    connector = SshConnector(repository, name, host, uuid)
    timeout = node_timeout(repository.config)
    peer = PeerStore(name, uuid, connector.open, timeout=timeout)
    await peer.offer(NEWEST_VERSION)

    async def close() -> None:
        await peer.aclose()
        await connector.aclose()

    return _Bin(name, uuid, peer, close)


def _check(repository: Repository, name: str, uuid: UUID) -> None:
    """Raise PeerUnreachable unless the uuid is one that can keep content for us."""
    detail = None
    if uuid == repository.uuid:
        detail = "it is this repository itself"
    elif is_cluster_uuid(uuid):
        detail = "it is a cluster, which cannot be used as a trash bin here"
    elif not looks_like_uuid(uuid):
        detail = f"remote.{name}.annex-uuid is not set; run git annex sync there"
    if detail is not None:
        raise PeerUnreachable(name=name, detail=detail)


async def _store(found: _Bin, key: Key, content: OpenObject, source: str) -> str:
    """Why the content could not be stored; empty if it is there."""

    async def verdict() -> Validity:
        return Validity.VALID if content.still_valid() else Validity.INVALID

    async with found.store.put(key, b"") as intake:
        if isinstance(intake, AlreadyHave):
            return ""
        offset = intake.offset
        if offset > content.size:
            return "it has more bytes of it than there are"
        payload = Payload(
            content.size - offset,
            content.fd,
            position=offset,
            verdict=verdict,
            source=source,
        )
        outcome = await intake.accept(payload)
        return "" if outcome.ok else outcome.reason or "it did not store the content"


def _refused(key: Key, name: str, reason: object) -> RemovalRefused:
    detail = f"annex.trashbin={name}: {reason}"
    return RemovalRefused(key=key, detail=detail)


def trash_of(repository: Repository, clock: Clock | None = None) -> Trash:
    """For `Content.remove` outside of a session: each call opens and ends a connection."""

    async def once(key: Key, content: OpenObject) -> UUID:
        trash = RemoteTrash(clock)
        try:
            return await trash.keep(repository, key, content)
        finally:
            await trash.settle()
            await trash.aclose()

    def keep(key: Key, content: OpenObject) -> None:
        uuid = trio.run(once, key, content)
        Branch(repository, clock).record(key, uuid, True)

    return keep
