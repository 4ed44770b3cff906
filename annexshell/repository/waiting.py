"""Whether somebody else's reception of a key gets on, and who that is (spec 02 §9).

A second uploader waits while the first one works. Locks tell that a process is there, not
that it works: what tells is that the temporary file or the info file changes. While
content is hashed, synced or copied neither does, so what is there already buys time.
"""

from __future__ import annotations

import os
import time

from annexshell.model.duration import time_to_hash
from annexshell.model.key import Key
from annexshell.repository.annex import Annex, storage

_LONGEST_PAUSE = 0.5
_LONGEST_INFO = 1 << 16

Trace = tuple[int, int, int]
"""Inode, size in bytes, and time of change of one file."""


class Watch:
    """Looks at a reception now and then, at times (in seconds) that the caller gives.

    ``patience`` is how long nothing may move.
    """

    def __init__(self, annex: Annex, key: Key, patience: float) -> None:
        self._annex = annex
        self._key = key
        self._patience = patience
        self._seen: dict[str, Trace] = {}
        self._until = -1.0
        self._pause = 0.01
        self._told = False

    def gets_on(self, now: float) -> bool:
        """Whether something moved within the time that may pass without.

        Raises StorageFailed.
        """
        path = self._annex.paths.tmp(self._key)
        with storage("looking at the transfer", path):
            found = traces(self._annex, self._key)
        if found != self._seen or self._until < 0:
            self._seen = found
            size = found.get(path, (0, 0, 0))[1]
            self._until = now + self._patience + time_to_hash(size)
        return now < self._until

    def pause(self) -> float:
        """Seconds until the next look: few at first, since most receptions are short."""
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return self._pause

    def becomes_long(self) -> bool:
        """Once, when this takes so long that a person may wonder."""
        told, self._told = self._told, self._pause >= _LONGEST_PAUSE
        return self._told and not told


def traces(annex: Annex, key: Key) -> dict[str, Trace]:
    """The files of a reception that is under way. Raises OSError."""
    found = {}
    # Not the locks: those who wait make and remove them.
    for path in [annex.paths.tmp(key), *(info for _, info in _infos(annex, key))]:
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        found[path] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def describe_holder(annex: Annex, key: Key) -> str:
    """Who receives ``key``, for a person to read. Best effort: it may end any moment."""
    told = [_process(annex, key)]
    try:
        newest = max(
            (
                (os.lstat(info).st_mtime_ns, peer, info)
                for peer, info in _infos(annex, key)
            ),
            default=None,
        )
        if newest is not None:
            _, peer, info = newest
            with open(info, "rb") as file:
                started = file.read(_LONGEST_INFO).split(b"s", 1)[0]
            told.append(f"from repository {peer}")
            told.append(f"since {_spelled(started)}")
        told.append(f"{os.lstat(annex.paths.tmp(key)).st_size} bytes so far")
    except OSError:
        # It has just ended, or is none of our business.
        return ", ".join(told)
    return ", ".join(told)


def _process(annex: Annex, key: Key) -> str:
    directories = [peer for peer, _ in _infos(annex, key)]
    locks = [annex.paths.download_lock(key)]
    locks += [annex.paths.transfer_lock("download", peer, key) for peer in directories]
    return next(filter(None, map(annex.locks.holder_of, locks)), "another session")


def _infos(annex: Annex, key: Key) -> list[tuple[str, str]]:
    """The peers that send ``key``, each with the path of its info file."""
    top = annex.paths.annex_dir + "/transfer/download"
    try:
        peers = [peer for peer in sorted(os.listdir(top)) if peer != "lck"]
    except FileNotFoundError:
        return []
    infos = [(peer, annex.paths.transfer_info("download", peer, key)) for peer in peers]
    return [(peer, info) for peer, info in infos if os.path.lexists(info)]


def _spelled(seconds: bytes) -> str:
    try:
        moment = time.gmtime(int(seconds.partition(b".")[0]))
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", moment)
