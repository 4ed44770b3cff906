"""Asking a node: its failures stay its own, are told once, and are remembered for a time.

A node that cannot be reached, or that hangs, is left out for a while, and for longer each
time it fails again or the more time that took: requests fail for it at once. Nothing of a
node's may take the session with it, so what its store lets through by mistake becomes a
failure of that node too. What is not a node's goes through: cancellation, and the early end
of what a client sends.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import trio

from annexshell.cluster.errors import NodeHangs
from annexshell.cluster.node import Node
from annexshell.errors import (
    AnnexshellError,
    LinkStalled,
    PayloadShort,
    PayloadStalled,
    PeerFailed,
    PeerRefused,
    PeerUnreachable,
    RepositoryReplaced,
    RequestError,
)
from annexshell.model.duration import spell_duration
from annexshell.repository.remedies import explained

log = logging.getLogger("annexshell.cluster")

FIRST_PAUSE = 5.0
"""Seconds for which a node is left out that failed for the first time."""
LONGEST_PAUSE = 300.0
"""Seconds for which it is left out at most; twice as long each time until then."""

LATE = 60.0
"""Seconds for which others are asked before one that was slow to answer."""
NO_ANSWER = "no answer within {waited:g} seconds, and another node has answered"

NODE_FAILURES = (AnnexshellError, OSError, trio.ClosedResourceError)
"""What a store raises, or lets through, where its node has failed."""

_DOUBLINGS = 6
_TIMES_LOST = 5


class asking:  # a block, and one that every request begins
    """A block in which ``node.store`` is asked for something.

    What the node fails at is logged, noted, and raised as RequestError: the store's own
    where it was one, else PeerFailed. While the node is known to be missing, the block is
    not entered and what it failed with is raised again, without a word. With ``fed`` the
    block hands a payload of the client's to the node: PayloadShort is the client's then, and
    goes through.
    """

    __slots__ = ("_begun", "_fed", "_node")

    def __init__(self, node: Node, *, fed: bool = False) -> None:
        self._node = node
        self._fed = fed
        self._begun = 0.0

    def __enter__(self) -> None:
        node = self._node
        if node.failure is not None and is_missing(node):
            raise type(node.failure)(**node.failure.fields)
        self._begun = trio.current_time()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return answered(self._node)
        if not isinstance(error, NODE_FAILURES):
            return None
        if self._fed and isinstance(error, PayloadShort):
            return None
        told = failed(self._node, error, trio.current_time() - self._begun)
        if isinstance(error, RequestError):
            return None
        raise told from error


@contextmanager
def leaving(node: Node) -> Iterator[None]:
    """A block in which what ``node.store`` gave is closed: its failures are only logged.

    It does not show that the node is well.
    """
    try:
        yield
    except NODE_FAILURES as error:
        failed(node, error)


def is_missing(node: Node) -> bool:
    """Whether it is not worth asking now; see `Node`."""
    # Most never were, and who has a word only to ask need not look at the clock.
    return node.missing_until > -math.inf and trio.current_time() < node.missing_until


def failed(node: Node, error: Exception, lost: float = 0) -> RequestError:
    """Log that the node failed, and leave it out if it cannot be reached; see `named`.

    Finding out took ``lost`` seconds: so much is not to be lost again soon.
    """
    told = named(node, error)
    if isinstance(error, PeerRefused):
        # It was there to say so.
        answered(node)
    if not _out_of_reach(error):
        log.warning("%s", told)
        return told
    pause = FIRST_PAUSE * 2 ** min(node.failures, _DOUBLINGS)
    pause = round(min(max(pause, _TIMES_LOST * lost), LONGEST_PAUSE))
    node.missing_until = trio.current_time() + pause
    node.failure = told
    node.failures += 1
    log.warning("%s; it is left out for %s", told, spell_duration(pause))
    return told


def beaten(node: Node, waited: float) -> None:
    """Note that it had not answered in ``waited`` seconds, when another node did.

    It may be well, and only slow; so it is asked again where no other node will do.
    """
    node.late_until = trio.current_time() + LATE
    slow = PeerFailed(name=node.name, detail=NO_ANSWER.format(waited=waited))
    log.warning("%s; others are asked first for %s", slow, spell_duration(LATE))


def answered(node: Node) -> None:
    """Note that the node is there."""
    if node.failures:
        log.warning("%s is back", node.name)
        node.forgive()


def named(node: Node, error: Exception) -> RequestError:
    """``error`` as one that names the node."""
    if isinstance(error, PeerUnreachable | PeerFailed):
        return error
    detail = explained(error) if isinstance(error, OSError) else error
    return PeerFailed(name=node.name, detail=detail)


def _out_of_reach(error: Exception) -> bool:
    silent = isinstance(error.__cause__, LinkStalled | PayloadStalled)
    gone = isinstance(error, PeerUnreachable | RepositoryReplaced | NodeHangs)
    return gone or silent or isinstance(error, LinkStalled | PayloadStalled)
