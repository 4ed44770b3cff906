"""kill -9 before every change to the disk of uploads whose bytes go through threads.

One repository hashes beside writing; several share a digest (docs/design.md, "One digest
for all that begin with the same byte").
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
import trio

from annexshell.local.intake import LocalIntake
from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.model.payload import Validity
from annexshell.repository.branch import Branch
from annexshell.repository.open import Repository
from annexshell.transport.fanout import Fan
from tests.support.content import (
    HELLO,
    PEER,
    make_repository,
    reopened,
    sha256_key,
    tmp_path_of,
)
from tests.support.faults import every_death
from tests.support.sending import piped

CONTENT = HELLO * 15000
KEY = sha256_key(CONTENT)
"""More than what is hashed without a thread."""


@attrs.define
class Node:
    repository: Repository

    @property
    def told(self) -> Path:
        """Exists once the upload was acknowledged."""
        return Path(self.repository.path, "told")

    @property
    def had(self) -> int:
        """Bytes that wait for more; all of them if it needs none."""
        if reopened(self.repository).present(KEY):
            return len(CONTENT)
        partial = tmp_path_of(self.repository, KEY)
        return partial.stat().st_size if partial.exists() else 0

    def store(self, *, alone: bool) -> LocalStore:
        return LocalStore(self.repository, UUID(PEER), alone=alone)

    async def receive(self, fan: Fan, least: int, begun: trio.Event) -> None:
        async with self.store(alone=False).put(KEY, b"") as intake:
            if isinstance(intake, LocalIntake):
                branch = fan.branch(intake.offset - least, "node")
                begun.set()
                try:
                    with branch.scope:
                        assert (await intake.accept(branch.payload)).ok
                finally:
                    branch.close()
            begun.set()
        self.told.open("w").close()

    def check(self) -> None:
        content = reopened(self.repository)
        opened = content.open_for_get(KEY)
        branch = Branch(self.repository)
        logged = self.repository.uuid in branch.locations(KEY)
        if opened is None:
            assert not logged and not self.told.exists()
            return
        with opened:
            assert os.pread(opened.fd, len(CONTENT) + 1, 0) == CONTENT
            assert not os.fstat(opened.fd).st_mode & 0o222
        assert logged or not self.told.exists()

    def clear(self) -> None:
        self.told.unlink(missing_ok=True)
        assert trio.run(self.store(alone=True).remove, KEY).ok


async def uploaded(nodes: list[Node]) -> None:
    """The upload to all of them, by which they have it in the end."""
    least = min(node.had for node in nodes)
    source = await piped(CONTENT[least:], Validity.VALID, None)
    with Fan(source, patience=60) as fan:
        async with trio.open_nursery() as nursery:
            for node in nodes:
                begun = trio.Event()
                nursery.start_soon(node.receive, fan, least, begun)
                await begun.wait()
            await fan.run()


async def uploaded_to(node: Node) -> None:
    async with node.store(alone=True).put(KEY, b"") as intake:
        if isinstance(intake, LocalIntake):
            rest = CONTENT[intake.offset :]
            payload = await piped(rest, Validity.VALID, None)
            assert (await intake.accept(payload)).ok
    node.told.open("w").close()


@pytest.mark.parametrize("count", [1, 2])
def test_death_while_receiving_in_threads(tmp_path: Path, count: int) -> None:
    nodes = [Node(make_repository(tmp_path / str(n))) for n in range(count)]

    def upload() -> None:
        if count == 1:
            trio.run(uploaded_to, nodes[0])
        else:
            trio.run(uploaded, nodes)

    deaths = 0
    for _ in every_death(upload):
        deaths += 1
        for node in nodes:
            node.check()
        upload()
        for node in nodes:
            assert node.told.exists()
            node.check()
            node.clear()
    assert deaths > 20 * count
    for node in nodes:
        assert node.told.exists()
        node.check()
