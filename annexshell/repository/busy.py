"""How many transfers a node is busy with, by all processes of this gateway.

A transfer holds a read lock on one byte of the node's file, chosen by chance; how many of
them are locked is the number. Locks belong to the descriptor, so that they end with a
process however it ends, and bytes can be locked that are not there: the files stay empty.
They are left where they are. There is one a node, and whoever removed one while somebody
else opens it would have two of them counting apart.

Best effort: it is only about which of two nodes to ask first. A disk that is full or
read-only makes every node idle.
"""

from __future__ import annotations

import fcntl
import os
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from annexshell.model.ids import UUID, is_safe_uuid
from annexshell.repository.filelock import open_lock_file
from annexshell.repository.modes import Sharing
from annexshell.repository.open import Repository

_FLOCK = "hhqqi4x"
_SLOT_BITS = 62
_SLOTS = 1 << _SLOT_BITS
MOST = 64
"""Transfers that are counted; who has more of them is busy enough."""


class Busy:
    """The files below ``annex_dir``, which is a repository's ``annex/``."""

    def __init__(self, annex_dir: str, sharing: Sharing = Sharing()) -> None:
        self._top = annex_dir
        self._directory = annex_dir + "/annexshell/busy"
        self._sharing = sharing

    @classmethod
    def of(cls, repository: Repository) -> Busy:
        """Those of the gateway ``repository``."""
        shared = repository.config.get("core.sharedrepository")
        return cls(repository.annex_dir, Sharing.parse(shared))

    def count(self, uuid: UUID) -> int:
        """The transfers under way now, ours included; 0 if that cannot be known."""
        if not is_safe_uuid(uuid):
            return 0
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(self._path(uuid), flags)
        except OSError:
            return 0
        try:
            return _locked_slots(fd)
        except OSError:
            return 0
        finally:
            os.close(fd)

    @contextmanager
    def transfer(self, uuid: UUID) -> Iterator[None]:
        """A transfer, from or to the node ``uuid``."""
        fd = self._begin(uuid) if is_safe_uuid(uuid) else -1
        try:
            yield
        finally:
            if fd >= 0:
                os.close(fd)

    def _path(self, uuid: UUID) -> str:
        return f"{self._directory}/{uuid.decode('ascii')}"

    def _begin(self, uuid: UUID) -> int:
        """A descriptor that holds a slot, or -1."""
        try:
            fd = self._open(self._path(uuid))
        except OSError:
            return -1
        try:
            slot = random.getrandbits(_SLOT_BITS)
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_RDLCK, slot, 1))
        except OSError:
            os.close(fd)
            return -1
        return fd

    def _open(self, path: str) -> int:
        # To read is enough for such a lock: the file may be another user's.
        try:
            fd = open_lock_file(path, exclusive=False)
        except FileNotFoundError:
            self._sharing.make_directories(self._directory, self._top)
            fd = open_lock_file(path, exclusive=False)
        try:
            self._sharing.share(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd


def _locked_slots(fd: int) -> int:
    """The locks of others on the file, at most `MOST`. Raises OSError.

    The kernel tells of any one in a range, not of the first.
    """
    count = 0
    ranges = [(0, _SLOTS)]
    while ranges and count < MOST:
        start, end = ranges.pop()
        asked = _request(fcntl.F_WRLCK, start, end - start)
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
        kind, _, first, length, _ = struct.unpack(_FLOCK, answer)
        if kind == fcntl.F_UNLCK:
            continue
        count += 1
        behind = first + length if length else end
        ranges += [(a, b) for a, b in ((start, first), (behind, end)) if a < b]
    return count


def _request(kind: int, start: int, length: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0)
