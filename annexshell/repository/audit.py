"""The audit log: one line of JSON for each request that moved or changed content.

docs/auditlog.md describes the lines. Light: nothing is loaded until a line is written,
and with ``annexshell.auditlog`` unset nothing is done at all. A command uses it so:

    audit = Audit.of(repository, user=surroundings.user, connection=surroundings.connection)
    with audit.request("dropkey", key=key.text) as entry:
        ...
        entry.outcome = REMOVED

An error that leaves the block is the outcome; without either the request is incomplete.
"""

from __future__ import annotations

import os
import time

from annexshell.errors import (
    AnnexshellError,
    AppendOnly,
    BadOffset,
    BlockedBy,
    ContentLocked,
    InsecureKey,
    KeyNotStorable,
    LinkError,
    NotAvailable,
    NotEnoughSpace,
    PeerRefused,
    ProtocolError,
    ReadOnly,
    RemovalRefused,
    TransferInProgress,
)
from annexshell.model.ids import UUID, is_cluster_uuid
from annexshell.model.record import NamedTuple
from annexshell.repository.open import Repository

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Protocol

    from annexshell.repository.logfile import LogFile

    class Counted(Protocol):
        """Content on its way: `model.payload.Payload`."""

        length: int
        remaining: int
        source: str


SETTING = "annexshell.auditlog"
LONGEST = 8192
"""Bytes of a line at most."""
_LIMITS = (4096, 1024, 512, 256, 128, 64, 32)
_MOST_NODES = 32

STORED = "stored"
ALREADY_PRESENT = "already-present"
DELIVERED = "delivered"
REJECTED = "rejected"
ABSENT = "absent"
REMOVED = "removed"
LOCKED = "locked"
UNLOCKED = "unlocked"
ABANDONED = "abandoned"
WITHDRAWN = "withdrawn"
ENDED = "ended"
REFUSED = "refused"
FAILED = "failed"
INCOMPLETE = "incomplete"

_REFUSALS = (
    *(AppendOnly, BadOffset, BlockedBy, ContentLocked, InsecureKey, KeyNotStorable),
    *(NotAvailable, NotEnoughSpace, PeerRefused, ReadOnly, RemovalRefused),
    TransferInProgress,
)


class Who(NamedTuple):
    """What all lines of a session have in common; empty fields are left out."""

    session: str = ""
    user: str = ""
    connection: str = ""
    client: bytes = b""
    repository: str = ""
    uuid: bytes = b""
    proxied: bytes = b""
    """The uuid asked for where it is not the repository's own."""


class Entry:
    """What is known so far of one request. Leaving its block writes the line."""

    def __init__(
        self, audit: Audit, request: str, key: bytes = b"", file: bytes = b""
    ) -> None:
        self.audit = audit
        self.request = request
        self.key = key
        self.file = file
        self.service = b""
        self.offset = 0
        self.payload: Counted | None = None
        """Counts the bytes that were moved; ``bytes`` is for those who count themselves."""
        self.delivers = False
        """Whether the payload goes to the client."""
        self.bytes = 0
        self.outcome = INCOMPLETE
        self.reason = ""
        self.nodes: dict[bytes, str] = {}
        """What became of it at each repository behind the one asked, by uuid."""
        self._started = time.monotonic()

    def failed(self, error: Exception) -> None:
        """The request ended with ``error``."""
        self.outcome = REFUSED if isinstance(error, _REFUSALS) else FAILED
        self.reason = _reason(error)

    def write(self) -> None:
        """Write a line with what is known now. Never raises."""
        if self.audit.on:
            self.audit.write(self._fields())

    def _fields(self) -> dict[str, object]:
        payload, proxied = self.payload, self.audit.proxied
        nodes = {proxied: self.outcome} if proxied else {}
        moved = self.bytes if payload is None else payload.length - payload.remaining
        return {
            "request": self.request,
            "service": self.service,
            "key": self.key,
            "file": self.file,
            "offset": self.offset,
            "bytes": moved,
            "seconds": round(time.monotonic() - self._started, 6),
            "outcome": self.outcome,
            "reason": self.reason,
            "source": self._source() if moved else "",
            "nodes": nodes | self.nodes,
        }

    def _source(self) -> str:
        """Which node of a cluster delivers; of any other session it is known."""
        chosen = self.delivers and self.audit.of_cluster
        return self.payload.source if chosen and self.payload is not None else ""

    def __enter__(self) -> Entry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._ended_by(error)
        self.write()

    def _ended_by(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, (LinkError, ProtocolError)):
            # How far it got is known already, and that nobody can be answered any more.
            self.reason = _reason(error)
        elif isinstance(error, Exception):
            self.failed(error)
        else:
            self.reason = "the session was ended"


class Audit:
    """Where the requests of one session, or of one command, are written down."""

    def __init__(self, file: LogFile | None = None, who: Who = Who()) -> None:
        self._file = file
        self.on = file is not None
        """Whether anything is written down."""
        self._who = who
        self._lost = 0

    @classmethod
    def of(
        cls,
        repository: Repository,
        *,
        session: str = "",
        user: str = "",
        connection: str = "",
        client: bytes = b"",
        proxied: bytes = b"",
    ) -> Audit:
        """The audit log that the repository's config asks for. Never raises."""
        if not repository.config.all(SETTING):
            return cls()
        from annexshell.repository.logfile import configured

        file = configured(repository, SETTING)
        if file is None:
            return cls()
        session = session or new_session()
        where = repository.path, repository.uuid, proxied
        return cls(file, Who(session, user, connection, client, *where))

    @property
    def proxied(self) -> bytes:
        """The one node that answers, if there is just one; a cluster is none itself."""
        proxied = UUID(self._who.proxied)
        return b"" if is_cluster_uuid(proxied) else proxied

    @property
    def of_cluster(self) -> bool:
        """Whether one of several nodes was chosen to answer."""
        return is_cluster_uuid(UUID(self._who.proxied))

    def request(self, request: str, *, key: bytes = b"", file: bytes = b"") -> Entry:
        """A request that begins now; to be used as a block."""
        return Entry(self, request, key, file)

    def write(self, fields: dict[str, object]) -> None:
        """Add a line. Its ``lost`` tells how many before it could not be written."""
        if self._file is None:
            return
        now = time.time_ns()
        about = {"time": _time(now), **self._who._asdict()}
        line = line_of({**about, **fields, "lost": self._lost})
        self._lost = 0 if self._file.append(line) else self._lost + 1


def new_session() -> str:
    """A name that tells one session from all others."""
    return os.urandom(6).hex()


def line_of(fields: dict[str, object]) -> bytes:
    """``fields`` as one line of JSON in ASCII, of at most `LONGEST` bytes.

    What is not UTF-8 is shown with its bytes escaped, and exactly, in base64, beside it.
    If the line is too long all texts are cut to the same length, and ``cut`` names those
    that were.
    """
    for limit in _LIMITS:
        line = _encode(_shown(fields, limit))
        if len(line) <= LONGEST:
            break
    return line


_ALWAYS = ("bytes", "seconds")


def _shown(fields: dict[str, object], limit: int) -> dict[str, object]:
    shown: dict[str, object] = {}
    cut = []
    for name, value in fields.items():
        if not value and name not in _ALWAYS:
            continue
        if isinstance(value, str | bytes):
            raw = _bytes(value) if isinstance(value, str) else value
            text = _text(raw)
            if len(text) > limit:
                cut.append(name)
            elif not _is_utf8(raw):
                shown[f"{name}_base64"] = _base64(raw)
            shown[name] = text[:limit]
        elif isinstance(value, dict):
            nodes = list(value.items())[:_MOST_NODES]
            shown[name] = {_text(uuid)[:limit]: what[:limit] for uuid, what in nodes}
            cut += [name] if len(value) > _MOST_NODES else []
        else:
            shown[name] = value
    return {**shown, "cut": cut} if cut else shown


def _encode(fields: dict[str, object]) -> bytes:
    import json

    text = json.dumps(fields, separators=(",", ":"))
    # The one control character that JSON lets through.
    return text.replace("\x7f", "\\u007f").encode("ascii") + b"\n"


def _bytes(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _base64(raw: bytes) -> str:
    import binascii

    return binascii.b2a_base64(raw, newline=False).decode()


def _time(now: int) -> str:
    seconds, rest = divmod(now, 10**9)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{rest // 1000:06d}Z"


def _reason(error: BaseException) -> str:
    if isinstance(error, AnnexshellError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename or '-'})"
    return f"internal error: {type(error).__name__}: {error}"
