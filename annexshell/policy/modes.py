"""Which protocol requests a read-only or append-only session refuses (spec 01 §5.6).

Keyed by the first word of the message, so that this table needs none of the protocol's
classes. What is not named is allowed.
"""

from __future__ import annotations

from annexshell.errors import AppendOnly, ReadOnly, RequestError
from annexshell.policy.restrictions import Restrictions

RECEIVE_PACK = b"git-receive-pack"

Refused = dict[bytes, type[RequestError]]

READ_ONLY: Refused = {
    b"PUT": ReadOnly,
    b"REMOVE": ReadOnly,
    b"REMOVE-BEFORE": ReadOnly,
    b"CONNECT": ReadOnly,
}
APPEND_ONLY: Refused = {
    b"REMOVE": AppendOnly,
    b"REMOVE-BEFORE": AppendOnly,
    b"CONNECT": ReadOnly,
}
"""The reference calls a push to an append-only repository read-only; so do we."""


def refusal(table: Refused, word: bytes, service: bytes = b"") -> RequestError | None:
    """The error that answers a request by the table that `refused` gives, None where it is
    allowed.

    ``word`` is the message's first word; ``service`` the git service of a CONNECT, of which
    only fetching changes nothing.
    """
    if word == b"CONNECT" and service == b"git-upload-pack":
        return None
    kind = table.get(word)
    return None if kind is None else kind()


def refused(restrictions: Restrictions) -> Refused:
    """The table for a session: the words that may be refused, and with what."""
    if restrictions.read_only:
        return READ_ONLY
    return APPEND_ONLY if restrictions.append_only else {}
