"""What makes two connections to a node alike, and how they are spoken of; pure.

The resident keeps connections and knows nothing of them but a key, a time and a note. All
that decides how a node is reached, and what it was told, is in the key: a connection is
only ever taken by a session that would have made the same one.
"""

from __future__ import annotations

import hashlib
import os

from annexshell.model.ids import UUID
from annexshell.model.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DESCRIPTORS = 4
"""What goes with a connection: to read from, to write to, its stderr, and its pidfd."""
LONGEST = 512
"""Bytes of a message, at most."""

PER_LOGIN = frozenset(
    (
        "SSH_CLIENT",
        "SSH_CONNECTION",
        "SSH_ORIGINAL_COMMAND",
        "SSH_TTY",
        "XDG_SESSION_ID",
    )
)
"""Variables that tell of the client's own connection: each session has others."""

_AGENT = "SSH_AUTH_SOCK"
_TAKE, _KEEP, _KEPT = b"take", b"keep", b"kept"
LEFT, NONE = b"left", b"none"
"""The resident has taken over what a session left; it has nothing for one that asks."""
_KEY_LENGTH = 64
_LONGEST_REST = 86400.0


_OF_SSH = (
    *("{home}/.ssh", "{home}/.ssh/config", "{home}/.ssh/known_hosts"),
    *("/etc/ssh/ssh_config", "/etc/ssh/ssh_config.d", "/etc/ssh/ssh_known_hosts"),
    "/etc/hosts",
)
"""Where it is said which host a name means, whether to trust it, and with which key."""

Mark = tuple[int, int, int]
"""A file as it was: device, inode, and when it was changed, in nanoseconds."""


class Place(NamedTuple):
    """Where a connection comes from, and where it leads to."""

    gateway: str
    """The path of the gateway's repository."""
    uuid: UUID
    """The gateway's."""
    node: UUID
    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    """The working directory of ssh."""
    agent: Mark | None = None
    """The socket that SSH_AUTH_SOCK leads to: its path can be the same for agents of
    different people."""
    configured: Sequence[Mark | None] = ()
    """What ssh itself goes by, see `configuration_of`."""


def connection_key(place: Place, version: int, told: Sequence[UUID]) -> str:
    """One word for all that must be the same; it tells none of it.

    ``version`` is the one offered to the node, ``told`` whom it was to bypass.
    """
    variables = sorted(
        (name, value)
        for name, value in place.environment.items()
        if name not in PER_LOGIN
    )
    where = (place.gateway, place.uuid, place.node, place.directory, place.agent)
    configured = list(place.configured)
    text = ascii((where, list(place.argv), variables, configured, version, list(told)))
    return hashlib.sha256(text.encode()).hexdigest()


def agent_of(environment: Mapping[str, str]) -> Mark | None:
    """What tells the agent of ``environment`` from all others; None without one."""
    return _mark(environment.get(_AGENT, ""))


def configuration_of(environment: Mapping[str, str]) -> list[Mark | None]:
    """The files that lead ssh, as they are: a new connection could go elsewhere, or be
    refused, once one of them was changed."""
    home = environment.get("HOME", "")
    return [_mark(path.format(home=home)) for path in _OF_SSH]


def _mark(path: str) -> Mark | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


class Kept(NamedTuple):
    """A connection under its key; ``note`` is for whoever takes it."""

    key: str
    rest: float
    """Seconds it may be kept for."""
    note: bytes = b""


class Note(NamedTuple):
    """What the next session has to know of a connection."""

    version: int
    """The protocol's, as the node answered."""
    opened: float
    """When ssh was started, by the clock of `time.monotonic`."""

    def text(self) -> bytes:
        return b"%d %.3f" % self


def parse_note(text: bytes) -> Note | None:
    """The note that `Note.text` wrote; None if it is none."""
    words = text.split(b" ")
    try:
        version, opened = words
        return Note(int(version), float(opened))
    except ValueError:
        return None


# -- messages ------------------------------------------------------------------------------


def taking(key: str) -> bytes:
    """What a session says that wants a connection."""
    return _TAKE + b" " + key.encode()


def keeping(kept: Kept) -> bytes:
    """What a session says with the descriptors of one that it leaves behind."""
    return b"%s %s %.3f %s" % (_KEEP, kept.key.encode(), kept.rest, kept.note)


def asked(message: bytes) -> str | Kept | None:
    """The key of one that is wanted, one that is left, or None: no message of ours."""
    word, _, rest = message[:LONGEST].partition(b" ")
    if word == _TAKE:
        return _key(rest)
    if word != _KEEP:
        return None
    text, _, rest = rest.partition(b" ")
    seconds, _, note = rest.partition(b" ")
    key = _key(text)
    try:
        length = float(seconds)
    except ValueError:
        return None
    # Not so for what is not a number either.
    if key is None or not 0 < length <= _LONGEST_REST:
        return None
    return Kept(key, length, note)


def _key(text: bytes) -> str | None:
    if len(text) != _KEY_LENGTH or text.strip(b"0123456789abcdef"):
        return None
    return text.decode()


def given(note: bytes) -> bytes:
    """What the resident says with a connection."""
    return _KEPT + b" " + note


def answered(message: bytes) -> Note | None:
    """The note of the connection that came with the answer; None if none did."""
    word, _, note = message.partition(b" ")
    return parse_note(note) if word == _KEPT else None
