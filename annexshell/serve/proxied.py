"""Who answers for a uuid that is not the gateway's, ready to serve and to be closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import attrs

from annexshell.errors import PeerUnreachable, RequestError
from annexshell.logs.proxies import proxied_by
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID
from annexshell.protocol.versions import agreed
from annexshell.proxy.costs import ask_commands, prices
from annexshell.proxy.instantiated import Remote
from annexshell.proxy.routes import ClusterRoute, Published, route
from annexshell.remotes.peer import PeerStore
from annexshell.remotes.recipes import LocalPath, recipe_for
from annexshell.repository.branch import Branch
from annexshell.repository.open import Repository
from annexshell.repository.ownership import NOT_TRUSTED, is_trusted
from annexshell.serve.nodes import Nodes
from annexshell.serve.stores import Served


def proxied(
    gateway: Repository,
    asked: UUID,
    clock: Clock | None,
    client: UUID = UUID(b""),
    keeper: int = -1,
) -> Served:
    """A remote of the gateway, or a cluster of its remotes, for ``client``.

    ``keeper`` is the descriptor that `SessionRequest` has.

    Raises what `route` raises, BranchUnreadable, and PeerUnreachable for a gateway whose
    config is not to be followed.
    """
    branch = Branch(gateway, clock)
    published = published_by(branch)
    target = _target(gateway, asked, published)
    if not is_trusted(gateway.common_dir):
        raise PeerUnreachable(name=target.name, detail=NOT_TRUSTED)
    nodes = Nodes(gateway, branch, clock, client, keeper)
    if isinstance(target, ClusterRoute):
        # It brings much that sessions with one remote have no use for.
        from annexshell.serve.clustered import clustered

        return clustered(nodes, target, published)
    return _remote(nodes, target, asked)


def _remote(nodes: Nodes, target: Remote, asked: UUID) -> Served:
    recipe = recipe_for(nodes.gateway.config, target.via)
    if isinstance(recipe, LocalPath):
        lazy = nodes.by_path(target.name, asked, recipe.path, alone=True)
        return Served(nodes.recorded(lazy, asked), nodes.settle, nodes.aclose)
    peer = nodes.by_ssh(target.name, target.via, asked, recipe)
    store = nodes.recorded(peer, asked)
    return Served(store, nodes.settle, nodes.aclose, Negotiation(peer).version)


def remote_for(
    gateway: Repository, asked: UUID, branch: Branch
) -> Remote | ClusterRoute:
    """Who answers for ``asked``. Raises what `route` does, BranchUnreadable."""
    return _target(gateway, asked, published_by(branch))


def published_by(branch: Branch) -> Published:
    """What `route` needs to know of the git-annex branch. Raises BranchUnreadable."""
    lines = proxied_by(branch.read(b"proxy.log"))
    return Published(lines, branch.clusters(), branch.descriptions())


def _target(
    gateway: Repository, asked: UUID, published: Published
) -> Remote | ClusterRoute:
    def run(commands: Iterable[str]) -> Mapping[str, str]:
        # What another user's config says is not run.
        if not is_trusted(gateway.common_dir):
            return {}
        return ask_commands(commands, cwd=gateway.path)

    price = partial(prices, gateway.config, run=run)
    return route(gateway.config, gateway.uuid, asked, published, gateway.path, price)


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
