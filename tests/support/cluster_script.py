"""A cluster's nodes and its client, as scripts.

The first script is what the client says and hears; each further one is a connection to a
node, by its name: there ``>>`` is what the gateway must say. ``{K}`` is a key of twenty
bytes, ``{DATA}``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import trio

from annexshell.cluster.node import Node
from annexshell.cluster.placing import Everywhere, Placer
from annexshell.model.ids import UUID
from annexshell.protocol.conversation import Role
from annexshell.remotes.peer import PeerStore
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.cluster_world import (
    FAR,
    N1,
    N2,
    NODES,
    STRANGER,
    C,
    ClusterMemory,
    cluster_store,
    memory_of,
)
from tests.support.memory_store import key_of
from tests.support.pair import allow
from tests.support.script import play, steps_of
from tests.support.scripted_nodes import Nodes

DATA = b"twenty bytes of data"
K = key_of(DATA)
WORDS = {
    "K": K.text,
    "DATA": DATA,
    "HEAD": DATA[:7],
    "TAIL": DATA[7:],
    "C": C,
    "N1": N1,
    "N2": N2,
    "FAR": FAR,
    "STRANGER": STRANGER,
}
CLIENT = "<< AUTH-SUCCESS {C}\n>> VERSION 4\n<< VERSION 4\n"
UPLOAD = ">> DATA 20\n>| {DATA}\n>> VALID\n"
Scripts = str | Sequence[str]
NO_NODES = (
    b"cluster has no available nodes (mycluster): annexshell-admin cluster status, at the"
    b" gateway, tells why"
)
NOTHING_REMOVED = b"FAILURE"
NONE_TOOK = b"no node of cluster mycluster took the content: n1 failed: disk on fire"
LOCKED = (
    b"no node of cluster mycluster removed the content: n1 failed: content is locked"
)


def hello(node: str, version: str = "VERSION 4") -> str:
    return f"<< AUTH-SUCCESS {{{node}}}\n>> VERSION 4\n<< {version}\n"


H1, H2 = hello("N1"), hello("N2")


def takes(node: str, *, offset: int = 0, answer: str = "SUCCESS") -> str:
    """A node that is sent what it asks for."""
    data = "{DATA}" if not offset else "{TAIL}"
    return (
        hello(node)
        + f"""
        >> PUT f {{K}}
        << PUT-FROM {offset}
        >> DATA {20 - offset}
        >| {data}
        >> VALID
        << {answer}
        """
    )


def says(node: str, *lines: str) -> str:
    """A node that is asked the first of ``lines`` and answers the second, and so on."""
    marks = (">>", "<<")
    return hello(node) + "".join(f"{marks[n % 2]} {x}\n" for n, x in enumerate(lines))


@attrs.define
class Gateway:
    """What the gateway knows beforehand, and what it does with its nodes."""

    holders: frozenset[UUID] = frozenset()
    placer: Placer = Everywhere()
    clock: Callable[[], float] = lambda: 3191.0
    count: int = 2

    def serve(self, client: str, *scripts: Scripts, **more: bytes) -> ClusterMemory:
        """Play the client's script; the location log as it is then."""
        log = memory_of(*NODES[: self.count])
        log.places |= {(K, uuid) for uuid in self.holders}
        words = {**WORDS, **more}
        nodes = [[s] if isinstance(s, str) else list(s) for s in scripts]

        async def served(link: Link) -> None:
            with tempfile.TemporaryDirectory() as top:
                await self._session(link, Path(top), log, nodes, words)

        play(served, client, **words)
        return log

    async def _session(
        self,
        link: Link,
        top: Path,
        log: ClusterMemory,
        scripts: list[list[str]],
        words: dict[str, bytes],
    ) -> None:
        async with trio.open_nursery() as nursery:
            peers = []
            for number, (uuid, script) in enumerate(zip(NODES, scripts)):
                steps = [steps_of(connection, words) for connection in script]
                connect = Nodes(nursery, steps).connect
                peers.append(PeerStore(f"n{number + 1}", uuid, connect))
                await peers[-1].offer(4)
            nodes = [
                Node(peer.name, peer.uuid, peer, cost)
                for cost, peer in enumerate(peers)
            ]
            store = cluster_store(
                lambda: nodes, log, top, placer=self.placer, clock=self.clock
            )
            await converse(Session(Channel(link, Role.SERVER), store, allow), C)
            for peer in peers:
                await peer.aclose()


def clustered(client: str, *nodes: Scripts, **more: bytes) -> ClusterMemory:
    """Play the scripts, with a location log that is empty at first."""
    return Gateway().serve(client, *nodes, **more)


HELD = Gateway(frozenset({N1, N2}))
"""A gateway whose log says that both nodes have the key; the first is cheaper to ask."""
