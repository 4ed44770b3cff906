"""Receiving into a repository: beside others of a fan-out, and with a disk that fails."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio

from annexshell.errors import AnnexshellError, TransferInProgress
from annexshell.local.intake import LocalIntake
from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository import intake as intake_module
from annexshell.repository.content import Content
from annexshell.repository.hashing import Verifier
from annexshell.repository.open import Repository
from annexshell.repository.partial import Partial
from annexshell.store import Outcome
from annexshell.transport import fanout
from annexshell.transport.branch import Branch
from annexshell.transport.fanout import Fan
from tests.support.async_tests import trio_test
from tests.support.content import (
    PEER,
    begin,
    interrupt,
    make_repository,
    object_path,
    sha256_key,
    tmp_path_of,
)
from tests.support.sending import piped, sent

MIB = 1 << 20
CONTENT = os.urandom(MIB) * 9 + b"the end"
SMALL = b"some bytes"
Append = Callable[[Partial, bytes | memoryview], int]


@attrs.define
class Node:
    """A repository that receives from a fan-out."""

    repository: Repository
    outcome: Outcome | None = None
    failure: AnnexshellError | None = None

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.repository, UUID(PEER))

    async def receive(self, fan: Fan, least: int, key: Key, begun: trio.Event) -> None:
        branch: Branch | None = None
        try:
            async with self.store.put(key, b"") as intake:
                assert isinstance(intake, LocalIntake)
                branch = fan.branch(intake.offset - least, "node", 0.1)
                begun.set()
                with branch.scope:
                    self.outcome = await intake.accept(branch.payload)
        except AnnexshellError as error:
            self.failure = error
        finally:
            if branch is not None:
                branch.close()


async def fanned_out(content: bytes, key: Key, nodes: list[Node]) -> None:
    source = await piped(content, Validity.VALID, None)
    with Fan(source, patience=0.1) as fan:
        async with trio.open_nursery() as nursery:
            for node in nodes:
                begun = trio.Event()
                nursery.start_soon(node.receive, fan, 0, key, begun)
                await begun.wait()
            await fan.run()


def nodes_at(place: Path, count: int) -> list[Node]:
    return [Node(make_repository(place / str(number))) for number in range(count)]


@pytest.fixture
def digested(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that were hashed, one number for each call."""
    counts: list[int] = []
    real = Verifier.update

    def update(verifier: Verifier, chunk: bytes | memoryview) -> None:
        counts.append(len(chunk))
        real(verifier, chunk)

    monkeypatch.setattr(Verifier, "update", update)
    return counts


@pytest.mark.parametrize("content", [SMALL, CONTENT])
@trio_test
async def test_what_several_receive_is_hashed_once(
    tmp_path: Path, digested: list[int], content: bytes
) -> None:
    nodes, key = nodes_at(tmp_path, 3), sha256_key(content)
    await fanned_out(content, key, nodes)
    assert [node.outcome for node in nodes] == [Outcome(True)] * 3
    assert sum(digested) == len(content)
    for node in nodes:
        assert object_path(node.repository, key).read_bytes() == content


@trio_test
async def test_who_goes_on_hashes_its_own(tmp_path: Path, digested: list[int]) -> None:
    """What it had was another's bytes, of which nobody else can tell anything."""
    nodes, key = nodes_at(tmp_path, 3), sha256_key(CONTENT)
    interrupt(Content(nodes[1].repository), key, CONTENT[:5000])
    interrupt(Content(nodes[2].repository), key, b"x" * 5000)
    digested.clear()
    await fanned_out(CONTENT, key, nodes)
    assert [node.outcome and node.outcome.ok for node in nodes] == [True, True, False]
    assert sum(digested) == 3 * len(CONTENT)
    assert not tmp_path_of(nodes[2].repository, key).exists()
    assert not Content(nodes[2].repository).present(key)


@trio_test
async def test_bytes_that_are_not_the_keys_are_stored_by_nobody(tmp_path: Path) -> None:
    nodes, key = nodes_at(tmp_path, 2), sha256_key(CONTENT)
    await fanned_out(CONTENT[:-1] + b"?", key, nodes)
    for node in nodes:
        assert node.outcome is not None and not node.outcome.ok
        assert not Content(node.repository).present(key)


@trio_test
async def test_what_a_disk_lost_is_not_covered_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest of what was sent says nothing of a file that is shorter."""
    nodes, key = nodes_at(tmp_path, 2), sha256_key(CONTENT)
    lossy, real = tmp_path_of(nodes[0].repository, key), Partial.append

    def append(partial: Partial, chunk: bytes | memoryview) -> int:
        if partial.path == str(lossy) and len(chunk) < MIB:
            return len(chunk)
        return real(partial, chunk)

    monkeypatch.setattr(Partial, "append", append)
    await fanned_out(CONTENT, key, nodes)
    assert [node.outcome and node.outcome.ok for node in nodes] == [False, True]


@trio_test
async def test_a_full_disk_fails_one_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes, key = nodes_at(tmp_path, 3), sha256_key(CONTENT)
    full, real = tmp_path_of(nodes[0].repository, key), Partial.append

    def append(partial: Partial, chunk: bytes | memoryview) -> int:
        if partial.path == str(full) and os.fstat(partial.fd).st_size >= 3 * MIB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(partial, chunk)

    monkeypatch.setattr(Partial, "append", append)
    await fanned_out(CONTENT, key, nodes)
    assert "No space left" in str(nodes[0].failure)
    assert [node.outcome for node in nodes[1:]] == [Outcome(True)] * 2
    # What it has is kept, and gone on from.
    assert CONTENT.startswith(full.read_bytes())
    monkeypatch.undo()
    assert (await sent(nodes[0].store, key, CONTENT)).ok


@pytest.mark.thorough
@trio_test
async def test_a_disk_that_hangs_stops_its_own_node_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until its write is over, nobody else may write to that file; what it wrote is right."""
    nodes, key = nodes_at(tmp_path, 3), sha256_key(CONTENT)
    hanging, real = tmp_path_of(nodes[0].repository, key), Partial.append
    goes_on, closed = threading.Event(), threading.Event()
    really_close = intake_module.Intake._close

    def append(partial: Partial, chunk: bytes | memoryview) -> int:
        if partial.path == str(hanging):
            goes_on.wait()
        return real(partial, chunk)

    def close(intake: intake_module.Intake) -> None:
        really_close(intake)
        closed.set()

    monkeypatch.setattr(Partial, "append", append)
    await fanned_out(CONTENT * 2, key2 := sha256_key(CONTENT * 2), nodes[1:])
    assert object_path(nodes[1].repository, key2).exists()
    with trio.move_on_after(50) as limit:
        await fanned_out(CONTENT, key, nodes)
    assert not limit.cancelled_caught
    assert nodes[0].outcome is None
    assert [node.outcome for node in nodes[1:]] == [Outcome(True)] * 2
    with pytest.raises(TransferInProgress):
        begin(Content(nodes[0].repository), key)
    monkeypatch.setattr(intake_module.Intake, "_close", close)
    goes_on.set()
    assert closed.wait(60)
    assert CONTENT.startswith(hanging.read_bytes())
    assert (await sent(nodes[0].store, key, CONTENT)).ok


@trio_test
async def test_one_that_was_closed_takes_nothing_more(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r")
    intake = begin(Content(repository), sha256_key(CONTENT))
    intake.write(CONTENT[:10])
    intake.close()
    intake.close()
    with pytest.raises(AnnexshellError, match="nobody waits for it"):
        intake.write(CONTENT[10:20])
    assert tmp_path_of(repository, sha256_key(CONTENT)).read_bytes() == CONTENT[:10]


@pytest.mark.thorough
@trio_test
async def test_the_disk_begins_early_only_where_it_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, int]] = []

    def begin_early(fd: int, begin: int, end: int) -> None:
        begun.append((begin, end))

    monkeypatch.setattr(intake_module, "begin_writing_back", begin_early)
    content, ends = CONTENT * 2, 0
    for name, value in (("synced", "true"), ("unsynced", "false")):
        repository = make_repository(tmp_path / name, annexshell_fsync=value)
        store = LocalStore(repository, UUID(PEER))
        assert (await sent(store, sha256_key(content), content)).ok
    for start, end in begun:
        assert start == ends < end <= len(content)
        ends = end
    assert ends >= len(content) - 10 * MIB


@trio_test
async def test_a_disk_that_hangs_is_left_where_the_others_are_far_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have taken nothing, so that nobody keeps them waiting: that has an end too."""
    nodes, key = nodes_at(tmp_path, 2), sha256_key(CONTENT)
    interrupt(Content(nodes[1].repository), key, CONTENT[: 5 * MIB])
    hanging, real = tmp_path_of(nodes[0].repository, key), Partial.append
    goes_on = threading.Event()

    def append(partial: Partial, chunk: bytes | memoryview) -> int:
        if partial.path == str(hanging):
            goes_on.wait()
        return real(partial, chunk)

    monkeypatch.setattr(Partial, "append", append)
    monkeypatch.setattr(fanout, "DEAD", 0.3)
    with trio.move_on_after(50) as limit:
        await fanned_out(CONTENT, key, nodes)
    goes_on.set()
    assert not limit.cancelled_caught
    assert [node.outcome for node in nodes] == [None, Outcome(True)]
