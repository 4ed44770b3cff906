"""The repositories behind a gateway, opened when needed, and closed with its session."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from functools import cache, partial

import attrs
import trio

from annexshell.errors import (
    AnnexshellError,
    PeerUnreachable,
    RequestError,
    ShellError,
)
from annexshell.local.store import LocalStore, settle_branch
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID
from annexshell.placement.placer import RepositoryPlacer
from annexshell.proxy.store import ProxiedStore
from annexshell.remotes.connect import SshConnector
from annexshell.remotes.lazy import LazyStore
from annexshell.remotes.peer import PeerStore
from annexshell.remotes.recipes import SshHost
from annexshell.repository.branch import Branch
from annexshell.repository.keylocks import KeyLocks
from annexshell.repository.open import Repository, locate, open_repository
from annexshell.repository.remedies import explained
from annexshell.repository.supported import require_served
from annexshell.repository.timeouts import node_idle, node_timeout
from annexshell.serve.stores import trash_for
from annexshell.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:  # where there is a resident process only
    from annexshell.remotes.keeping import Keeper

log = logging.getLogger("annexshell.serve")

Action = Callable[[], Awaitable[None]]


def bypassing_nobody() -> tuple[UUID, ...]:
    """For a peer that asks nobody in turn."""
    return ()


class LocalNode(LazyStore):
    """A repository on this machine, opened when it is needed."""

    def __init__(self, open_store: Callable[[], LocalStore]) -> None:
        self._local = cache(open_store)
        super().__init__(self._local)

    def room(self) -> int | None:
        """Bytes that its disk can take, None if it cannot be reached; blocks."""
        try:
            return self._local().room()
        except RequestError:
            # Whoever asks it for more is told.
            return None

    def prompt(self) -> bool:
        """Whether it is known what is there without a thread; see `LocalStore.prompt`."""
        try:
            return self._local().prompt
        except RequestError:
            return True


@attrs.define
class Nodes:
    """What a session of ``gateway`` with ``client`` has opened; ``branch`` is the
    gateway's, ``keeper`` the descriptor that `SessionRequest` has."""

    gateway: Repository
    branch: Branch
    clock: Clock | None = None
    client: UUID = UUID(b"")
    keeper: int = -1
    _kept: Keeper | None = attrs.field(init=False, default=None)
    _local: list[LocalStore] = attrs.field(init=False, factory=list)
    _closing: list[Action] = attrs.field(init=False, factory=list)

    def by_ssh(
        self,
        name: str,
        via: str,
        uuid: UUID,
        host: SshHost,
        *,
        bypass: Callable[[], tuple[UUID, ...]] = bypassing_nobody,
        least: int = 0,
    ) -> PeerStore:
        """A repository at another host, reached as the remote ``via`` is."""
        keeper = self._keeper()
        lasting = keeper is not None
        connector = SshConnector(self.gateway, via, host, uuid, lasting=lasting)
        store: Callable[..., PeerStore] = PeerStore
        if keeper is not None:
            from annexshell.remotes.keeping import KeepingPeer

            store = partial(KeepingPeer, keeper=keeper, place=connector.place)
        timeout = node_timeout(self.gateway.config)
        peer = store(
            name, uuid, connector.open, timeout=timeout, bypass=bypass, least=least
        )

        async def close() -> None:
            await peer.aclose()
            await connector.aclose()

        self._closing.append(close)
        return peer

    def _keeper(self) -> Keeper | None:
        """Whoever keeps connections for the next session; few sessions have one."""
        if self.keeper >= 0 and self._kept is None:
            rest = node_idle(self.gateway.config)
            if rest > 0:
                from annexshell.remotes.keeping import Keeper

                self._kept = Keeper(self.keeper, rest)
        return self._kept

    def by_path(
        self, name: str, uuid: UUID, path: str, *, alone: bool = False
    ) -> LocalNode:
        """A repository on this machine; it may be the gateway itself.

        ``alone`` is as for `LocalStore`.
        """

        def open_store() -> LocalStore:
            opened = self._open(name, uuid, path, alone)
            self._local.append(opened)
            self._closing.append(opened.aclose)
            return opened

        return LocalNode(open_store)

    def _open(self, name: str, uuid: UUID, path: str, alone: bool) -> LocalStore:
        place = os.path.join(self.gateway.path, path)
        try:
            repository = open_repository(locate(place, "/"))
            require_served(repository)
            if repository.uuid == uuid:
                trash = trash_for(repository, self.clock)
                return LocalStore(
                    repository, self.gateway.uuid, self.clock, trash, alone=alone
                )
        except ShellError as error:
            raise PeerUnreachable(name=name, detail=error) from error
        except OSError as error:
            detail = f"{error.filename or path}: {explained(error)}"
            raise PeerUnreachable(name=name, detail=detail) from error
        detail = f"another repository is at {repository.path} now"
        raise PeerUnreachable(name=name, detail=detail)

    def recorded(self, store: Store, uuid: UUID) -> ProxiedStore:
        """The repository ``uuid`` alone, with the gateway's memory of what it holds."""
        return ProxiedStore(store, uuid, self.branch, KeyLocks.of(self.gateway))

    def placer(self) -> RepositoryPlacer:
        """Decides where content belongs by what the gateway knows."""
        placer = RepositoryPlacer(self.gateway, self.branch)

        async def close() -> None:
            if placer.in_use:
                await trio.to_thread.run_sync(placer.close)

        self._closing.append(close)
        return placer

    async def settle(self) -> None:
        """Commit what was recorded, in every repository that was opened and here."""
        await _all([opened.settle for opened in self._local])
        await settle_branch(self.branch)

    async def aclose(self) -> None:
        """End all connections, at the same time: each may need some seconds."""
        actions, self._closing = self._closing, []
        await _all(actions)
        if self._kept is not None:
            self._kept.close()


async def _all(actions: list[Action]) -> None:
    async with trio.open_nursery() as nursery:
        for action in actions:
            nursery.start_soon(_quietly, action)


async def _quietly(action: Action) -> None:
    """One that fails is no reason to leave the others as they are."""
    try:
        await action()
    except (RequestError, AnnexshellError, OSError) as error:
        log.warning("%s", error)
