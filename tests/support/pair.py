"""Stores behind a connection: a server and a PeerStore joined in memory."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from annexshell.model.ids import UUID
from annexshell.protocol.conversation import Role
from annexshell.protocol.messages import Message
from annexshell.remotes.peer import PeerStore
from annexshell.serve.answers import Session
from annexshell.serve.connection import converse
from annexshell.store import Store
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link

NODE = UUID(b"22222222-2222-4222-8222-222222222222")


def allow(request: Message) -> None:
    """A server in no particular mode."""


def link_pair(*, pipes: bool) -> tuple[Link, Link]:
    """Two Links that reach each other, over sockets or over pipes."""
    if pipes:
        a_in, b_out = os.pipe()
        b_in, a_out = os.pipe()
        return Link(a_in, a_out, "the node"), Link(b_in, b_out, "the client")
    ours, theirs = socket.socketpair()
    a, b = ours.detach(), theirs.detach()
    return Link(a, a, "the node"), Link(b, b, "the client")


@attrs.define
class Node:
    """A server over ``store`` that a PeerStore connects to as often as it likes."""

    store: Store
    nursery: trio.Nursery
    pipes: bool = False
    connections: list[Link] = attrs.field(factory=list)

    async def connect(self) -> Link:
        ours, theirs = link_pair(pipes=self.pipes)
        self.connections.append(theirs)
        self.nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, link: Link) -> None:
        try:
            await converse(Session(Channel(link, Role.SERVER), self.store, allow), NODE)
        finally:
            link.close()


@asynccontextmanager
async def peer_of(
    store: Store, *, version: int = 4, pipes: bool = False
) -> AsyncIterator[tuple[PeerStore, Node]]:
    """A PeerStore whose node answers from ``store``."""
    async with trio.open_nursery() as nursery:
        node = Node(store, nursery, pipes)
        peer = PeerStore("node", NODE, node.connect)
        peer.newest = version
        try:
            yield peer, node
        finally:
            if peer.holds_abandoned_locks:
                # Those would be seen out for ten minutes.
                nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=not peer.holds_abandoned_locks):
                await peer.aclose()
