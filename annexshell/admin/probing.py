"""Whether the members of a cluster can be reached, all asked at once.

Nothing changes at a node: a repository by path is only looked at, and one over ssh is
greeted and left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import attrs
import trio

from annexshell.admin.gateway import Gateway
from annexshell.admin.topology import Member, Standing
from annexshell.errors import PeerUnreachable, ShellError, StorageFailed
from annexshell.model.ids import UUID
from annexshell.protocol.messages import NEWEST_VERSION
from annexshell.remotes.connect import SshConnector
from annexshell.remotes.peer import PeerStore
from annexshell.remotes.recipes import LocalPath, SshHost
from annexshell.repository.annex import Annex
from annexshell.repository.open import Repository, locate, open_repository
from annexshell.repository.remedies import explained
from annexshell.repository.space import room
from annexshell.repository.supported import require_served
from annexshell.transport.child import ChildLink

_LEAST = 2
"""Of a gateway's protocol: one that knows no BYPASS is not used (spec 01 §9)."""


@attrs.frozen
class Probe:
    """What came of trying to reach a member.

    ``version`` is the P2P protocol's. ``free`` is in bytes, less annex.diskreserve; None
    where it is not known, as over ssh: no request asks for it.
    """

    version: int | None = None
    free: int | None = None
    error: PeerUnreachable | None = None

    @property
    def reachable(self) -> bool:
        return self.error is None


def probe_all(
    gateway: Gateway, members: Sequence[Member], timeout: float
) -> list[Probe]:
    """A probe of each, in their order. Each takes ``timeout`` seconds at most.

    Members without a remote must not be among them.
    """
    return trio.run(partial(probing, gateway, members, timeout))


async def probing(
    gateway: Gateway, members: Sequence[Member], timeout: float
) -> list[Probe]:
    """`probe_all`, for whoever runs trio already."""
    found = [Probe()] * len(members)

    async def one(position: int, member: Member) -> None:
        found[position] = await _probe(gateway, member, timeout)

    async with trio.open_nursery() as nursery:
        for position, member in enumerate(members):
            nursery.start_soon(one, position, member)
    return found


async def _probe(gateway: Gateway, member: Member, timeout: float) -> Probe:
    try:
        if isinstance(member.recipe, LocalPath):
            return await _by_path(gateway, member, member.recipe.path, timeout)
        if isinstance(member.recipe, SshHost):
            return await _over_ssh(gateway, member, member.recipe, timeout)
    except PeerUnreachable as error:
        return Probe(error=error)
    missing = PeerUnreachable(name=member.name, detail="no remote here leads to it")
    return Probe(error=member.problem or missing)


# -- by path -------------------------------------------------------------------------------


async def _by_path(
    gateway: Gateway, member: Member, path: str, timeout: float
) -> Probe:
    where = os.path.join(gateway.repository.path, path)
    with trio.move_on_after(timeout):
        # Of a disk that hangs only the thread is left behind, which ends with us.
        return await trio.to_thread.run_sync(
            _look, member.name, member.uuid, where, abandon_on_cancel=True
        )
    raise _too_slow(member.name, timeout)


def _look(name: str, uuid: UUID, path: str) -> Probe:
    with _explaining(name, path):
        repository = open_repository(locate(path, "/"))
        require_served(repository)
        if repository.uuid == uuid:
            return Probe(version=NEWEST_VERSION, free=_free(repository))
    detail = f"another repository is at {repository.path} now"
    raise PeerUnreachable(name=name, detail=detail)


def _free(repository: Repository) -> int | None:
    # It comes with the first content, and may come on another disk.
    there = os.path.isdir(repository.annex_dir)
    return room(Annex(repository)) if there else None


@contextmanager
def _explaining(name: str, path: str) -> Iterator[None]:
    try:
        yield
    except (ShellError, StorageFailed) as error:
        raise PeerUnreachable(name=name, detail=error) from error
    except OSError as error:
        detail = f"{error.filename or path}: {explained(error)}"
        raise PeerUnreachable(name=name, detail=detail) from error


# -- over ssh ------------------------------------------------------------------------------


async def _over_ssh(
    gateway: Gateway, member: Member, host: SshHost, timeout: float
) -> Probe:
    connector = SshConnector(gateway.repository, member.remote, host, member.uuid)
    deadline = trio.current_time() + timeout
    async with trio.open_nursery() as nursery:

        async def connect() -> ChildLink:
            link = await connector.open()
            nursery.start_soon(_end_at, deadline, link)
            return link

        least = _LEAST if member.standing is Standing.GATEWAY else 0
        peer = PeerStore(
            member.name, member.uuid, connect, timeout=timeout, least=least
        )
        peer.newest = NEWEST_VERSION
        try:
            probe = Probe(version=(await peer.connect()).version)
        except PeerUnreachable as error:
            probe = Probe(error=error)
        await peer.aclose()
        await connector.aclose()
        nursery.cancel_scope.cancel()
    return probe


async def _end_at(deadline: float, link: ChildLink) -> None:
    # Who gives up waits for ssh to end by itself, which takes seconds if ssh hangs too.
    await trio.sleep_until(deadline)
    link.process.terminate()


def _too_slow(name: str, timeout: float) -> PeerUnreachable:
    detail = f"no answer within {timeout:g} seconds"
    return PeerUnreachable(name=name, detail=detail)
