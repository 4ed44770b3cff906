"""What a node fails at is told once, remembered for a time, and stays its own."""

from __future__ import annotations

import errno
import os

import pytest
import trio

from annexshell.cluster.health import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    asking,
    is_missing,
    leaving,
)
from annexshell.cluster.node import Node
from annexshell.errors import (
    AnnexshellError,
    LineTooLong,
    LinkClosed,
    LinkStalled,
    PayloadShort,
    PayloadStalled,
    PeerFailed,
    PeerRefused,
    PeerUnreachable,
    RepositoryReplaced,
    RequestError,
    StorageFailed,
)
from tests.support.async_tests import clock_test
from tests.support.memory_store import MemoryStore
from tests.unit.cluster.scripted import uuid_of

UNREACHABLE = PeerUnreachable(name="n1", detail="no route to host")


@pytest.fixture
def node() -> Node:
    return Node("n1", uuid_of(1), MemoryStore())


def fail(node: Node, error: BaseException, *, fed: bool = False) -> RequestError:
    """Ask the node something that fails; what is raised for it."""
    with pytest.raises(RequestError) as caught:
        with asking(node, fed=fed):
            raise error
    return caught.value


def stalled() -> PeerFailed:
    """As PeerStore makes it of a node that hangs."""
    cause = LinkStalled(name="n1", what="was silent", time="2m")
    error = PeerFailed(name="n1", detail=cause)
    error.__cause__ = cause
    return error


@clock_test
async def test_an_unreachable_node_is_not_asked_for_a_time(node: Node) -> None:
    assert fail(node, UNREACHABLE) is UNREACHABLE
    assert is_missing(node)
    with pytest.raises(PeerUnreachable) as caught:
        with asking(node):
            raise AssertionError("it was asked")
    assert str(caught.value) == str(UNREACHABLE)
    assert caught.value is not UNREACHABLE
    await trio.sleep(FIRST_PAUSE)
    assert not is_missing(node)
    with asking(node):
        node.name = "asked"
    assert node.name == "asked"


@clock_test
async def test_each_time_it_is_left_out_for_longer(node: Node) -> None:
    pauses = []
    for _ in range(8):
        fail(node, UNREACHABLE)
        pauses.append(node.missing_until - trio.current_time())
        await trio.sleep_until(node.missing_until)
    assert pauses == pytest.approx([5, 10, 20, 40, 80, 160, 300, LONGEST_PAUSE])


@clock_test
async def test_an_answer_clears_it(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    fail(node, UNREACHABLE)
    await trio.sleep_until(node.missing_until)
    with asking(node):
        await trio.lowlevel.checkpoint()
    assert (node.failure, node.failures, is_missing(node)) == (None, 0, False)
    with asking(node):
        await trio.lowlevel.checkpoint()
    # And once only.
    assert caplog.messages[1:] == ["n1 is back"]


@clock_test
async def test_it_is_told_once_for_as_long_as_it_is_left_out(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        fail(node, UNREACHABLE)
    assert caplog.messages == [
        "cannot connect to n1: no route to host; it is left out for 5s"
    ]
    await trio.sleep_until(node.missing_until)
    fail(node, UNREACHABLE)
    assert caplog.messages[1:] == [
        "cannot connect to n1: no route to host; it is left out for 10s"
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.parametrize(
    "error",
    [
        stalled(),
        PayloadStalled(name="n1", time="5m"),
        LinkStalled(name="n1", what="was silent", time="2m"),
        RepositoryReplaced(where="/disk", detail="no such directory"),
    ],
    ids=lambda error: type(error).__name__,
)
@clock_test
async def test_one_that_hangs_or_is_not_mounted_is_left_out_too(
    node: Node, error: AnnexshellError
) -> None:
    fail(node, error)
    again = fail(node, AssertionError("it was asked"))
    assert "n1" in str(again) and str(error) in str(again)


@pytest.mark.parametrize(
    "error",
    [
        PeerFailed(name="n1", detail="it sent no content"),
        PeerRefused(detail="the disk is full"),
        StorageFailed(action="reading", where="/disk", detail="bad"),
        LinkClosed(name="n1"),
        LineTooLong(limit=5),
        PayloadShort(name="n1", missing=5),
        OSError(errno.EIO, "Input/output error"),
        trio.ClosedResourceError("closed"),
    ],
    ids=lambda error: type(error).__name__,
)
@clock_test
async def test_other_failures_are_told_and_do_not_leave_it_out(
    node: Node, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    raised = fail(node, error)
    assert (raised is error) == isinstance(error, RequestError)
    assert not is_missing(node) and not node.failures
    text = "Input/output" if isinstance(error, OSError) else str(error)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("n1 failed: ") and text in caplog.messages[0]


@clock_test
async def test_a_refusal_shows_that_it_is_there(node: Node) -> None:
    fail(node, UNREACHABLE)
    await trio.sleep_until(node.missing_until)
    fail(node, StorageFailed(action="reading", where="/disk", detail="bad"))
    assert node.failures == 1
    fail(node, PeerRefused(detail="the disk is full"))
    assert node.failures == 0


@clock_test
async def test_what_the_client_did_not_send_is_not_the_nodes_failure(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    for short in (
        PayloadShort(name="the client", missing=5),
        PayloadStalled(name="the client", time="10m"),
    ):
        with pytest.raises(PayloadShort) as caught:
            with asking(node, fed=True):
                raise short
        assert caught.value is short
    assert not is_missing(node) and caplog.messages == []
    assert fail(node, LinkClosed(name="n1"), fed=True).fields["name"] == "n1"


@clock_test
async def test_cancellation_and_bugs_go_through(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.move_on_after(1) as scope:
        with asking(node):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(ZeroDivisionError):
        with asking(node):
            raise ZeroDivisionError
    assert not is_missing(node) and caplog.messages == []


@clock_test
async def test_leaving_fails_for_the_log_only(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    fail(node, UNREACHABLE)
    with leaving(node):
        os.read(-1, 1)
    assert caplog.messages[1].startswith("n1 failed: Bad file descriptor")
    with leaving(node):
        await trio.lowlevel.checkpoint()
    assert is_missing(node)


@pytest.mark.parametrize("lost, pause", [(0, 5), (2, 10), (60, 300), (900, 300)])
@clock_test
async def test_the_longer_it_took_to_fail_the_longer_it_is_left_out(
    lost: float, pause: float
) -> None:
    node = Node("slow", uuid_of(1), MemoryStore())
    with pytest.raises(PeerUnreachable):
        with asking(node):
            await trio.sleep(lost)
            raise PeerUnreachable(name="slow", detail="no answer")
    assert node.missing_until == trio.current_time() + pause
