"""What an operator's command is to change, and how it is done without half of it missing.

Changes are found from a `Snapshot`, purely; so a dry run is the same without `apply`.
git's config is changed in one step, the logs go through the journal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory

import attrs

from annexshell.admin.gateway import Gateway
from annexshell.errors import AccessFailed, AnnexshellError
from annexshell.logs.clusters import clusters, with_nodes
from annexshell.logs.mapped import Trust, with_description
from annexshell.logs.proxies import Proxied, proxied_by, with_proxied
from annexshell.logs.special import special_remotes
from annexshell.model.ids import UUID
from annexshell.repository.config import GitConfig
from annexshell.repository.configfile import rewrite_config
from annexshell.repository.gitprocess import GitFailed, git_output
from annexshell.repository.initialise import identity_lock
from annexshell.repository.open import Repository


@attrs.frozen
class Setting:
    """A setting of git's config that gets a value, the only one it then has."""

    name: str
    value: str


@attrs.frozen
class Snapshot:
    """All that decides what is to change. ``lines`` is proxy.log, ``recorded`` cluster.log.

    ``recorded`` has dead nodes too. ``private`` uuids must stay out of the branch.
    """

    gateway: UUID
    config: GitConfig
    lines: Mapping[UUID, Sequence[Proxied]] = attrs.field(factory=dict)
    recorded: Mapping[UUID, frozenset[UUID]] = attrs.field(factory=dict)
    descriptions: Mapping[UUID, bytes] = attrs.field(factory=dict)
    special: Mapping[UUID, Mapping[str, str]] = attrs.field(factory=dict)
    dead: frozenset[UUID] = frozenset()
    private: frozenset[UUID] = frozenset()

    def setting(self, settings: Sequence[Setting]) -> Snapshot:
        """What will be known with these settings."""
        config = self.config
        for one in settings:
            config = config.adding(one.name, one.value)
        return attrs.evolve(self, config=config)

    def living(self, cluster: UUID) -> frozenset[UUID]:
        """The nodes that the cluster has by the log."""
        return self.recorded.get(cluster, frozenset()) - self.dead


@attrs.frozen
class Listed:
    """A repository that is added to a list, or taken off it, and what it is called."""

    uuid: UUID
    name: bytes
    added: bool


@attrs.frozen
class ClusterChange:
    """The nodes that the cluster gets; without ``listed`` it has them already."""

    name: str
    uuid: UUID
    nodes: frozenset[UUID] = frozenset()
    listed: tuple[Listed, ...] = ()


@attrs.frozen
class ProxyChange:
    """What this gateway gets as its line of proxy.log; the same rule."""

    entries: frozenset[Proxied]
    listed: tuple[Listed, ...] = ()


@attrs.frozen
class Changes:
    """Everything that one command changes, and what it warns of."""

    settings: tuple[Setting, ...] = ()
    described: Mapping[UUID, bytes] = attrs.field(factory=dict)
    clusters: tuple[ClusterChange, ...] = ()
    proxy: ProxyChange | None = None
    warnings: tuple[AnnexshellError, ...] = ()

    def __add__(self, other: Changes) -> Changes:
        return Changes(
            self.settings + other.settings,
            {**self.described, **other.described},
            self.clusters + other.clusters,
            self.proxy or other.proxy,
            tuple({str(w): w for w in self.warnings + other.warnings}.values()),
        )

    @property
    def none(self) -> bool:
        """Whether everything is as it is to be."""
        lists: list[ClusterChange | ProxyChange] = [*self.clusters]
        lists += [self.proxy] if self.proxy else []
        return not (self.settings or self.described or any(c.listed for c in lists))


@contextmanager
def changing(gateway: Gateway, *, dry_run: bool) -> Iterator[Gateway]:
    """The gateway as it is now, with nobody else of ours changing it meanwhile.

    The branches of clones that were fetched are merged first, as git-annex does, unless it
    is a ``dry_run``, which writes nothing at all. Raises SetUpByOwner, RepositoryBusy,
    OSError, and as `Branch.settle` does.
    """
    if dry_run:
        yield gateway
        return
    with identity_lock(gateway.repository):
        now = gateway.reread()
        now.branch.settle()
        yield now


def snapshot(gateway: Gateway) -> Snapshot:
    """What is known now. Raises BranchUnreadable."""
    branch = gateway.branch
    levels = branch.trust()
    return Snapshot(
        gateway=gateway.uuid,
        config=gateway.config,
        lines=proxied_by(branch.read(b"proxy.log")),
        recorded=clusters(branch.read(b"cluster.log")),
        descriptions=branch.descriptions(),
        special=special_remotes(branch.read(b"remote.log")),
        dead=frozenset(uuid for uuid, level in levels.items() if level is Trust.DEAD),
        private=branch.private_uuids,
    )


def apply(gateway: Gateway, changes: Changes) -> None:
    """Make the changes, in git's config first; `Branch.settle` then commits the logs.

    Raises RepositoryBusy, AccessFailed, OSError, and as `Branch.change` does.
    """
    if changes.settings:
        write_settings(gateway.repository, changes.settings)
    branch, now = gateway.branch, gateway.now
    for uuid, text in changes.described.items():
        edit = partial(with_description, uuid=uuid, description=text, candidate=now)
        branch.change(b"uuid.log", uuid, edit)
    for cluster in changes.clusters:
        if cluster.listed:
            edit = partial(
                with_nodes, cluster=cluster.uuid, nodes=cluster.nodes, candidate=now
            )
            branch.change(b"cluster.log", cluster.uuid, edit)
    if changes.proxy and changes.proxy.listed:
        own, entries = gateway.uuid, changes.proxy.entries
        edit = partial(with_proxied, gateway=own, entries=entries, candidate=now)
        branch.change(b"proxy.log", own, edit)


def write_settings(repository: Repository, settings: Sequence[Setting]) -> None:
    """Set all of them in one atomic step; whoever calls holds `identity_lock`.

    git itself edits a copy, so that the file looks as if git had changed it. It is in a
    directory of its own: in the repository somebody it is shared with could put a link to a
    file of ours in its place. Raises RepositoryBusy, AccessFailed and OSError.
    """

    def rewrite(before: bytes) -> bytes:
        with TemporaryDirectory(prefix="annexshell-") as place:
            copy = os.path.join(place, "config")
            with open(copy, "wb") as file:
                file.write(before)
            for one in settings:
                words = ("--file", copy, "--replace-all", one.name, one.value)
                git_output(repository.git_dir, "config", *words)
            with open(copy, "rb") as edited:
                return edited.read()

    path = os.path.join(repository.common_dir, "config")
    try:
        rewrite_config(path, rewrite)
    except GitFailed as error:
        raise AccessFailed(where=path, detail=error) from error
