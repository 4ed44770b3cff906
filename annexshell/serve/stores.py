"""Who answers for the session's uuid, made ready to serve and to be closed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import attrs

from annexshell.errors import PeerUnreachable, RequestError, ShellError
from annexshell.local.store import LocalStore, in_thread
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID
from annexshell.protocol.versions import agreed
from annexshell.proxy.routes import Published, route
from annexshell.proxy.store import ProxiedStore
from annexshell.remotes.connect import SshConnector
from annexshell.remotes.lazy import LazyStore
from annexshell.remotes.peer import PeerStore
from annexshell.remotes.recipes import LocalPath, recipe_for
from annexshell.repository.branch import Branch
from annexshell.repository.open import Repository, open_repository, resolve
from annexshell.serve.answers import Negotiate, our_version
from annexshell.store import Store

NODE_TIMEOUT = 60
"""Seconds that connecting to a node may take (annexshell.node-timeout)."""


async def _nothing() -> None:
    return


@attrs.frozen
class Served:
    """A Store, what to do when the client has left, and how to agree on a version."""

    store: Store
    settle: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]] = _nothing
    negotiate: Negotiate = our_version


def local(repository: Repository, client: UUID, clock: Clock | None) -> Served:
    """The repository itself."""
    store = LocalStore(repository, client, clock)
    return Served(store, store.settle)


def proxied(gateway: Repository, asked: UUID, clock: Clock | None) -> Served:
    """A remote of the gateway. Raises what `route` raises, and BranchUnreadable."""
    branch = Branch(gateway, clock)
    published = Published(
        frozenset((e.uuid, e.name) for e in branch.proxied_by(gateway.uuid)) or None,
        branch.descriptions(),
    )
    name = route(gateway.config, gateway.uuid, asked, published)
    recipe = recipe_for(gateway.config, name)
    if isinstance(recipe, LocalPath):
        return _by_path(gateway, name, asked, recipe.path, branch, clock)
    connector = SshConnector(gateway, name, recipe, asked)
    timeout = gateway.config.integer("annexshell.node-timeout", NODE_TIMEOUT)
    peer = PeerStore(name, asked, connector.open, timeout=max(1, timeout))

    async def close() -> None:
        await peer.aclose()
        await connector.aclose()

    return Served(
        ProxiedStore(peer, asked, branch),
        _settler(branch),
        close,
        Negotiation(peer).version,
    )


def _by_path(
    gateway: Repository,
    name: str,
    asked: UUID,
    path: str,
    branch: Branch,
    clock: Clock | None,
) -> Served:
    opened: list[LocalStore] = []
    settle_gateway = _settler(branch)

    def open_store() -> LocalStore:
        opened.append(_open_node(gateway, name, asked, path, clock))
        return opened[-1]

    async def settle() -> None:
        for node in opened:
            await node.settle()
        await settle_gateway()

    return Served(ProxiedStore(LazyStore(open_store), asked, branch), settle)


def _open_node(
    gateway: Repository, name: str, asked: UUID, path: str, clock: Clock | None
) -> LocalStore:
    where = resolve(os.path.join(gateway.path, path), "/")
    try:
        repository = open_repository(where)
    except ShellError as error:
        raise PeerUnreachable(name=name, detail=error) from error
    if repository.uuid != asked:
        raise PeerUnreachable(name=name, detail="another repository is there now")
    return LocalStore(repository, gateway.uuid, clock)


def _settler(branch: Branch) -> Callable[[], Awaitable[None]]:
    async def settle() -> None:
        await in_thread(branch.settle)

    return settle


@attrs.frozen
class Negotiation:
    """The session speaks the node's version, so that what the client says can be kept.

    A client that is told of an old node removes without a time limit, which is its own
    decision; we would have to refuse. A version 0 node is still translated for, because
    the client is better off with a verdict. A node that is not reached now may be later.
    """

    peer: PeerStore

    async def version(self, asked: int) -> int:
        offered = agreed(asked)
        await self.peer.offer(offered)
        try:
            channel = await self.peer.connect()
        except RequestError:
            return offered
        return min(offered, max(1, channel.version))
