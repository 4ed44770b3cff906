"""Who answers for a remote of the gateway, made ready to serve and to be closed."""

from __future__ import annotations

import os
from functools import partial

import attrs

from annexshell.errors import PeerUnreachable, RequestError, ShellError
from annexshell.local.store import LocalStore, settle_branch
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
from annexshell.repository.open import Repository, locate, open_repository
from annexshell.repository.ownership import NOT_TRUSTED, is_trusted
from annexshell.repository.remedies import explained
from annexshell.repository.supported import require_served
from annexshell.repository.timeouts import node_timeout
from annexshell.serve.stores import Served, trash_for


def proxied(gateway: Repository, asked: UUID, clock: Clock | None) -> Served:
    """A remote of the gateway.

    Raises what `route` raises, BranchUnreadable, and PeerUnreachable for a gateway whose
    config is not to be followed.
    """
    branch = Branch(gateway, clock)
    name = remote_for(gateway, asked, branch)
    if not is_trusted(gateway.common_dir):
        raise PeerUnreachable(name=name, detail=NOT_TRUSTED)
    recipe = recipe_for(gateway.config, name)
    if isinstance(recipe, LocalPath):
        return _by_path(gateway, name, asked, recipe.path, branch, clock)
    connector = SshConnector(gateway, name, recipe, asked)
    timeout = node_timeout(gateway.config)
    peer = PeerStore(name, asked, connector.open, timeout=timeout)

    async def close() -> None:
        await peer.aclose()
        await connector.aclose()

    return Served(
        ProxiedStore(peer, asked, branch),
        partial(settle_branch, branch),
        close,
        Negotiation(peer).version,
    )


def remote_for(gateway: Repository, asked: UUID, branch: Branch) -> str:
    """The remote that answers for ``asked``. Raises what `route` does, BranchUnreadable."""
    published = Published(
        frozenset((e.uuid, e.name) for e in branch.proxied_by(gateway.uuid)) or None,
        branch.descriptions(),
    )
    return route(gateway.config, gateway.uuid, asked, published, gateway.path)


def _by_path(
    gateway: Repository,
    name: str,
    asked: UUID,
    path: str,
    branch: Branch,
    clock: Clock | None,
) -> Served:
    opened: list[LocalStore] = []

    def open_store() -> LocalStore:
        opened.append(_open_node(gateway, name, asked, path, clock))
        return opened[-1]

    async def settle() -> None:
        for node in opened:
            await node.settle()
        await settle_branch(branch)

    async def close() -> None:
        for node in opened:
            await node.aclose()

    return Served(ProxiedStore(LazyStore(open_store), asked, branch), settle, close)


def _open_node(
    gateway: Repository, name: str, asked: UUID, path: str, clock: Clock | None
) -> LocalStore:
    try:
        repository = open_repository(locate(os.path.join(gateway.path, path), "/"))
        require_served(repository)
        if repository.uuid == asked:
            trash = trash_for(repository, clock)
            return LocalStore(repository, gateway.uuid, clock, trash)
    except ShellError as error:
        raise PeerUnreachable(name=name, detail=error) from error
    except OSError as error:
        detail = f"{error.filename or path}: {explained(error)}"
        raise PeerUnreachable(name=name, detail=detail) from error
    detail = f"another repository is at {repository.path} now"
    raise PeerUnreachable(name=name, detail=detail)


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
