"""Who receives and sends what: transfer locks and info files (spec 02 §9.1, §9.2, §9.5).

A reception holds two locks: one for the key, and one for key and peer, which is all that
old versions look at. A transmission tries for one, and goes on without it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from annexshell.errors import (
    BadClientUUID,
    MalformedKey,
    RequestError,
    TransferInProgress,
)
from annexshell.model.ids import is_safe_uuid
from annexshell.model.key import Key, from_file_name
from annexshell.repository.annex import Annex, storage, unlink_quietly
from annexshell.repository.errors import PidLockHeld
from annexshell.repository.filelock import FileLock
from annexshell.repository.retention import format_stamp
from annexshell.repository.waiting import describe_holder

_TRIES = 5
_STEP = 1 << 20
"""Info files are not written again for fewer bytes than this, nor for less than 1 %."""
_LONGEST_INFO = 1 << 16


def peer_directory(peer: bytes) -> str:
    """The path component for a peer's uuid. Raises BadClientUUID."""
    if not is_safe_uuid(peer):
        raise BadClientUUID(value=peer)
    return peer.decode("ascii")


class Transfer:
    """A transfer that others can see; ends with `close`."""

    def __init__(self, annex: Annex, direction: str, key: Key, peer: bytes) -> None:
        directory = peer_directory(peer)
        self._annex = annex
        self._key = key
        self._locks: list[FileLock] = []
        self._info = annex.paths.transfer_info(direction, directory, key)
        self._failed = annex.paths.failed_info(direction, directory, key)
        self.peer_lock = annex.paths.transfer_lock(direction, directory, key)
        self._started = format_stamp(time.time_ns())
        self._name = b""
        self._told = 0

    def lock(self, paths: list[str]) -> bool:
        """Take the locks in order, all or none. Raises OSError."""
        for path in paths:
            held = self._lock_one(path)
            if held is None:
                self._unlock()
                return False
            self._locks.append(held)
        return True

    def _lock_one(self, path: str) -> FileLock | None:
        for _ in range(_TRIES):
            try:
                held = self._annex.locks.try_lock(path, exclusive=True)
            except FileNotFoundError:
                self._annex.make_directories(os.path.dirname(path))
                continue
            if held is None:
                return None
            self._annex.sharing.share(held.fd)
            if held.same_file():
                return held
            held.close()
        return None

    @property
    def descriptors(self) -> list[int]:
        """Those that carry the locks: who inherits them holds the locks as well."""
        carriers = (fd for held in self._locks for fd in held.descriptors)
        return list(dict.fromkeys(carriers))

    def announce(self, name: bytes) -> None:
        """Write the info file for a transfer of the file ``name``. Raises OSError."""
        self._name = name.replace(b"\n", b" ")
        self._write(b"")

    def progress(self, done: int) -> None:
        """``done`` bytes of the content are here; others see it now and then.

        Best effort: a full disk must not end a transfer for the sake of its info.
        """
        step = max(_STEP, (self._key.size or 0) // 100)
        if done - self._told < step:
            return
        self._told = done
        try:
            self._write(b" %d" % done)
        except OSError:
            return

    def _write(self, done: bytes) -> None:
        # In place: a temporary file would outlive a crash in a directory nobody sweeps.
        # The text never becomes shorter, so one write replaces all of it.
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(self._info, flags | (0 if done else os.O_TRUNC), 0o666)
        try:
            if not done:
                self._annex.sharing.share(fd)
            os.write(fd, self._started + done + b"\n" + self._name + b"\n")
        finally:
            os.close(fd)

    def succeeded(self) -> None:
        """Forget an earlier failure. Best effort."""
        try:
            unlink_quietly(self._failed)
        except OSError:
            return

    def close(self) -> None:
        """The info goes first, then the locks, so that no info is ever without a lock."""
        if self._locks:
            _unlink_any(self._info)
        self._unlock()

    def _unlock(self) -> None:
        for held in self._locks:
            _unlink_any(held.path)
        while self._locks:
            self._locks.pop().close()


def begin_download(annex: Annex, key: Key, peer: bytes, name: bytes) -> Transfer:
    """Receive ``key`` from ``peer``, alone. ``name`` is the associated file, or empty.

    Raises TransferInProgress, StorageFailed, BadClientUUID.
    """
    transfer = Transfer(annex, "download", key, peer)
    common = annex.paths.download_lock(key)
    with storage("locking the transfer", common):
        try:
            if not transfer.lock([common, transfer.peer_lock]):
                raise _busy(annex, key)
            transfer.announce(name)
        except BaseException:
            transfer.close()
            raise
    return transfer


def _busy(annex: Annex, key: Key) -> RequestError:
    holder = annex.locks.held_elsewhere()
    if holder is None:
        return TransferInProgress(key=key, holder=describe_holder(annex, key))
    return PidLockHeld(key=key, holder=holder)


def begin_upload(annex: Annex, key: Key, peer: bytes, name: bytes) -> Transfer:
    """Note that ``key`` is sent to ``peer``, if that can be noted.

    Raises BadClientUUID only: other transmissions and read-only disks are no obstacle.
    """
    transfer = Transfer(annex, "upload", key, peer)
    try:
        # Who holds a lock on everything is not waited for.
        free = annex.locks.held_elsewhere() is None
        if free and transfer.lock([transfer.peer_lock]):
            transfer.announce(name)
    except OSError:
        # Sending needs no permission to write here.
        transfer.close()
    return transfer


class Download(NamedTuple):
    """A running reception, as its info file tells."""

    key: Key
    done: int


def running_downloads(annex: Annex, besides: Key | None = None) -> Iterator[Download]:
    """What is being received now, by any process, but for one key. Raises OSError."""
    top = annex.paths.annex_dir + "/transfer/download"
    mine = None if besides is None else os.fsdecode(besides.file_name)
    try:
        peers = [peer.name for peer in os.scandir(top) if peer.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return
    for peer in peers:
        if peer == "lck":
            continue
        for name in os.listdir(f"{top}/{peer}"):
            if name != mine and not name.startswith("lck."):
                found = _download(annex, peer, name)
                if found is not None:
                    yield found


def _download(annex: Annex, peer: str, name: str) -> Download | None:
    try:
        key = from_file_name(os.fsencode(name))
    except MalformedKey:
        return None
    locks = (
        annex.paths.download_lock(key),
        annex.paths.transfer_lock("download", peer, key),
    )
    if not any(annex.locks.holder_of(path) for path in locks):
        return None
    try:
        with open(annex.paths.transfer_info("download", peer, key), "rb") as info:
            words = info.read(_LONGEST_INFO).partition(b"\n")[0].split(b" ")
    except OSError:
        # Just ended, or not ours to read: then none of it counts as done.
        words = []
    done = words[1] if len(words) == 2 and words[1].isdigit() else b"0"
    return Download(key, int(done[:30]))


def _unlink_any(path: str) -> None:
    try:
        unlink_quietly(path)
    except OSError:
        # A stale lock or info file is inert: who comes next reuses or sweeps it.
        return
