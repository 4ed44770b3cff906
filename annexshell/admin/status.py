"""How a cluster is: who can be reached, and who is recorded to hold how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import attrs
import trio

from annexshell.admin.gateway import Gateway
from annexshell.admin.probing import Probe, probing
from annexshell.admin.topology import Cluster, Member, Standing, topology
from annexshell.errors import printable
from annexshell.model.ids import UUID
from annexshell.proxy.costs import ask_commands, prices
from annexshell.repository.holdings import holdings

T = TypeVar("T")

_ASKED = frozenset((Standing.NODE, Standing.GATEWAY, Standing.NOT_RECORDED))

_HINTS: Mapping[Standing, str] = {
    Standing.NOT_RECORDED: (
        "configured as a node, but not in cluster.log, so it is not used; run"
        " annexshell-admin updatecluster"
    ),
    Standing.NO_REMOTE: (
        "in cluster.log, but no remote here is configured as this node, so it is not used;"
        " set annex-cluster-node of a remote, or run annexshell-admin updatecluster, which"
        " takes it out"
    ),
    Standing.ELSEWHERE: "behind another gateway, and not asked",
    Standing.DEAD: "dead by trust.log or the config, so it is not used, and not asked",
}


@attrs.frozen
class MemberStatus:
    """A member, and what was found out. ``probe`` is None where nobody was asked.

    ``keys`` is how many keys the location log says it has; None for a gateway, which is
    no repository to the log. ``cost`` is None where no remote leads to it.
    """

    member: Member
    probe: Probe | None
    keys: int | None
    cost: float | None

    @property
    def label(self) -> str:
        """What to call it: the remote, else its description or uuid; fit to be printed."""
        member = self.member
        return printable(
            member.name or member.remote or member.description or member.uuid
        )

    @property
    def notes(self) -> list[str]:
        """What the operator should know, each fit to be printed."""
        notes = []
        if self.probe is not None and self.probe.error is not None:
            notes.append(str(self.probe.error))
        if self.member.standing in _HINTS:
            notes.append(f"{self.label}: {_HINTS[self.member.standing]}")
        return notes

    def as_json(self) -> dict[str, object]:
        """For a program to read; what is not known is null."""
        member, probe = self.member, self.probe
        error = None if probe is None or probe.error is None else str(probe.error)
        return {
            "name": printable(member.name) or None,
            "uuid": printable(member.uuid),
            "description": printable(member.description),
            "standing": member.standing.value,
            "remote": printable(member.remote) or None,
            "how": member.how or None,
            "cost": self.cost,
            "reachable": None if probe is None else probe.reachable,
            "version": None if probe is None else probe.version,
            "free": None if probe is None else probe.free,
            "keys": self.keys,
            "error": error,
            "notes": self.notes,
        }


@attrs.frozen
class ClusterStatus:
    """A cluster with what was found out about its members."""

    cluster: Cluster
    members: tuple[MemberStatus, ...]

    @property
    def reachable(self) -> bool:
        """Whether everybody who was asked answered."""
        return all(m.probe is None or m.probe.reachable for m in self.members)

    def as_json(self) -> dict[str, object]:
        """For a program to read."""
        return {
            "name": printable(self.cluster.name),
            "uuid": printable(self.cluster.uuid),
            "description": printable(self.cluster.description),
            "reachable": self.reachable,
            "nodes": [member.as_json() for member in self.members],
        }


def cluster_status(
    gateway: Gateway, names: Sequence[str], timeout: float
) -> list[ClusterStatus]:
    """The status of the clusters ``names``, of all if there are none.

    All members are asked at once, each for ``timeout`` seconds at most, while the location
    log is read. Raises NoSuchCluster, BranchUnreadable and JournalFailed.
    """
    clusters = topology(gateway, names)
    members = list({_way(m): m for c in clusters for m in c.members}.values())
    found = trio.run(partial(_find_out, gateway, members, timeout))
    return [
        ClusterStatus(cluster, tuple(map(found.status, cluster.members)))
        for cluster in clusters
    ]


def _way(member: Member) -> tuple[str, UUID]:
    """What a node of several clusters is asked only once by."""
    return member.remote, member.uuid


@attrs.define
class _Found:
    """What is found out, each by a task of its own."""

    probes: dict[tuple[str, UUID], Probe] = attrs.field(factory=dict)
    costs: dict[tuple[str, UUID], float] = attrs.field(factory=dict)
    keys: Counter[UUID] = attrs.field(factory=Counter)

    def status(self, member: Member) -> MemberStatus:
        way = _way(member)
        keys = None if member.standing is Standing.GATEWAY else self.keys[member.uuid]
        return MemberStatus(member, self.probes.get(way), keys, self.costs.get(way))


async def _find_out(
    gateway: Gateway, members: Sequence[Member], timeout: float
) -> _Found:
    found = _Found()

    async def ask() -> None:
        asked = [m for m in members if m.standing in _ASKED]
        probes = await probing(gateway, asked, timeout)
        found.probes = dict(zip(map(_way, asked), probes, strict=True))

    async def count() -> None:
        found.keys = await _in_thread(partial(_counted, gateway))

    async def price() -> None:
        found.costs = await _in_thread(partial(_priced, gateway, members))

    async with trio.open_nursery() as nursery:
        for task in (ask, count, price):
            nursery.start_soon(task)
    return found


async def _in_thread(call: Callable[[], T]) -> T:
    # Whoever interrupts us need not wait: nothing is left half done.
    return await trio.to_thread.run_sync(call, abandon_on_cancel=True)


def _priced(
    gateway: Gateway, members: Sequence[Member]
) -> dict[tuple[str, UUID], float]:
    """What each remote costs; commands that tell it are run, all at once."""
    linked = [(m, m.link) for m in members if m.link is not None]
    # Whoever opens a gateway has checked that its commands may be run.
    run = partial(ask_commands, cwd=gateway.repository.path)
    costs = prices(gateway.config, [link for _, link in linked], run)
    return {_way(m): cost for (m, _), cost in zip(linked, costs, strict=True)}


def _counted(gateway: Gateway) -> Counter[UUID]:
    """How many keys each repository has by the location log."""
    keys: Counter[UUID] = Counter()
    for found in holdings(gateway.repository, gateway.branch):
        keys.update(found.holders)
    return keys
