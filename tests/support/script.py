"""Conversations as scripts: what the client says, and what it must hear.

    >> CHECKPRESENT K       a line the client says
    << SUCCESS              a line it must hear, exactly
    >| bytes                raw bytes, without a line feed
    <| bytes                raw bytes it must hear
    >> EOF                  the client closes its side
    << EOF                  it must hear the end

A mismatch shows the script beside what was really said.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import trio

from annexshell.transport.link import Link
from tests.support.async_tests import trio_test

Server = Callable[[Link], Awaitable[object]]


def play(server: Server, script: str, **words: bytes) -> None:
    """Run ``server`` at one end of a socket and the script at the other.

    ``{name}`` in the script stands for the bytes of the keyword ``name``.
    """
    trio_test(_play)(server, steps_of(script, words))


Step = tuple[str, bytes]


def steps_of(script: str, words: dict[str, bytes]) -> list[Step]:
    """A script's steps, each its mark and its bytes."""
    steps = []
    for raw in script.strip("\n").splitlines():
        line = raw.strip(" ").encode()
        if not line:
            continue
        for name, value in words.items():
            line = line.replace(b"{%s}" % name.encode(), value)
        mark, text = line[:2].decode(), line[3:]
        assert mark in (">>", "<<", ">|", "<|"), f"not a step of a script: {raw}"
        steps.append((mark, text))
    return steps


async def _play(server: Server, steps: list[Step]) -> None:
    ours, theirs = socket.socketpair()
    theirs_fd = theirs.detach()
    link = Link(theirs_fd, theirs_fd, "the script")
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(_serve, server, link)
        await _client(stream, steps)
        await stream.aclose()


async def _serve(server: Server, link: Link) -> None:
    try:
        await server(link)
    finally:
        link.close()


async def _client(stream: trio.SocketStream, steps: list[Step]) -> None:
    said: list[str] = []
    for mark, text in steps:
        ending = b"" if mark[1] == "|" else b"\n"
        if mark[0] == ">":
            if text == b"EOF":
                await stream.send_eof()
            else:
                await stream.send_all(text + ending)
        else:
            wanted = b"" if text == b"EOF" else text + ending
            heard = await _hear(stream, wanted)
            if heard != wanted:
                said.append(f"<< {heard!r}   INSTEAD OF {wanted!r}")
                raise AssertionError("\n".join(said))
        said.append(f"{mark} {text!r}")


async def _hear(stream: trio.SocketStream, wanted: bytes) -> bytes:
    if not wanted:
        try:
            return bytes(await stream.receive_some(1000))
        except trio.BrokenResourceError:
            return b""
    heard = b""
    while len(heard) < len(wanted) and wanted.startswith(heard):
        more = await stream.receive_some(len(wanted) - len(heard))
        if not more:
            break
        heard += more
    if not wanted.startswith(heard):
        with trio.move_on_after(0.2):
            heard += await stream.receive_some(1000)
    return heard
