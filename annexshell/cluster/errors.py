"""What can go wrong with a cluster as a whole, or with one node because of the others."""

from __future__ import annotations

from annexshell.errors import PeerFailed, RequestError


class NoNodes(RequestError):
    """Never answered with ALREADY-HAVE or SUCCESS: a client would drop its only copy."""

    text = (
        "cluster has no available nodes ({name}): annexshell-admin cluster status, at the"
        " gateway, tells why"
    )


class NoneStored(RequestError):
    text = "no node of cluster {name} took the content: {detail}"


class NoneRemoved(RequestError):
    text = "no node of cluster {name} removed the content: {detail}"


class NodeGivenUp(PeerFailed):
    """A node that the others need not wait for any longer."""

    text = "{name} was left out: {detail}"


class NodeHangs(NodeGivenUp):
    """It said nothing, while others were done; so it may say nothing the next time."""


class NoTimeLimit(PeerFailed):
    """Without one a node might remove the last copy, when locks elsewhere have expired."""

    text = (
        "{name} cannot remove content only before a given time, and has it ({detail}):"
        " upgrade git-annex there"
    )


class NotKept(PeerFailed):
    """It need not be the node: a client whose disk is full says the same."""

    text = (
        "{name} delivered content that the client could not use ({key}): if that happens"
        " again, run git annex fsck there"
    )
