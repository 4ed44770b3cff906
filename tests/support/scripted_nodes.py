"""Nodes that play a script each: ``>>`` is what the gateway, their client, must say."""

from __future__ import annotations

import attrs
import trio

from annexshell.transport.link import Link
from tests.support.pair import link_pair
from tests.support.script import Step


@attrs.define
class Nodes:
    """One scripted node a connection; a connection too many is refused."""

    nursery: trio.Nursery
    scripts: list[list[Step]]

    async def connect(self) -> Link:
        if not self.scripts:
            raise OSError("no such host")
        ours, theirs = link_pair(pipes=True)
        self.nursery.start_soon(act, theirs, self.scripts.pop(0))
        return ours


async def act(link: Link, steps: list[Step]) -> None:
    """Be the node: hear exactly what the proxy is to say, and answer."""
    heard = b""
    for mark, text in steps:
        line = text if mark[1] == "|" else text + b"\n"
        if mark == "<<" and text == b"EOF":
            break
        if mark[0] == "<":
            await link.write(line)
            continue
        wanted = b"" if text == b"EOF" else line
        while len(heard) < max(1, len(wanted)):
            more = await link.read(1000)
            if not more:
                break
            heard += more
        assert heard[: max(1, len(wanted))] == wanted, (heard, wanted)
        heard = heard[len(wanted) :]
    link.close()
