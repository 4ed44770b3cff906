"""Promises that content stays for a while, also after the promiser died (spec 02 §7.3).

`KEY.rtm` holds one time. Whoever locks content raises it; whoever removes content obeys
it. It is lowered only by an orderly unlock, only under the exclusive content lock, and only
down to what others were promised before: a promise that a foreign process may rely on is
never touched.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
import time

from annexshell.model.writing import write_all
from annexshell.repository.annex import Annex, unlink_quietly
from annexshell.repository.paths import ObjectPlace

RETAIN_NS = 600 * 10**9
"""How long a promise holds, in nanoseconds."""

_SECOND = 10**9
_STAMP = re.compile(rb"(-?[0-9]{1,30})(?:\.([0-9]{1,30}))?s?\Z")
_LONGEST = 100
_NEW = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_serial = itertools.count()


def parse(text: bytes) -> int | None:
    """A stamp's time in nanoseconds since the epoch, rounded up; None if it is no stamp."""
    found = _STAMP.match(text)
    if found is None:
        return None
    digits = (found[2] or b"").ljust(9, b"0")
    fraction = int(digits[:9]) + (1 if digits[9:].strip(b"0") else 0)
    whole = int(found[1]) * _SECOND
    return whole - fraction if found[1].startswith(b"-") else whole + fraction


def format_stamp(moment: int) -> bytes:
    """The text of a stamp, as git-annex would write it."""
    seconds, fraction = divmod(moment, _SECOND)
    digits = b"%09d" % fraction
    return b"%d%ss" % (seconds, (b"." + digits).rstrip(b"0") if fraction else b"")


def read(place: ObjectPlace) -> int | None:
    """Until when the content is promised, in nanoseconds; None without a promise.

    A stamp that cannot be understood counts as made when the file was last changed. Raises
    OSError: then nobody may assume that there is no promise.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        status = os.lstat(place.retention)
        if not stat.S_ISREG(status.st_mode):
            return status.st_mtime_ns + RETAIN_NS
        fd = os.open(place.retention, flags)
    except FileNotFoundError:
        return None
    try:
        moment = parse(os.read(fd, _LONGEST))
    finally:
        os.close(fd)
    return status.st_mtime_ns + RETAIN_NS if moment is None else moment


def discard(place: ObjectPlace) -> None:
    """Remove a promise that is over; only under the exclusive content lock."""
    unlink_quietly(place.retention)
    unlink_quietly(place.retention_lock)


class Promises:
    """What this process promised, and which of it is done with."""

    def __init__(self, annex: Annex) -> None:
        self._annex = annex
        self._done: dict[tuple[str, int], int | None] = {}

    def make(self, place: ObjectPlace) -> Promise:
        """Promise ten minutes from now. Only under the shared content lock.

        A stamp of ours is always above the one found, by a nanosecond if need be, so that
        no two promises share one. Raises OSError and LockTimeout: no promise was made.
        """
        freezer, sharing = self._annex.freezer, self._annex.sharing
        with freezer.persist(
            place.directory,
            lambda: self._annex.locks.wait_lock(place.retention_lock, exclusive=True),
        ) as lock:
            sharing.share(lock.fd)
            found = read(place)
            moment = time.time_ns() + RETAIN_NS
            if found is not None:
                moment = max(moment, found + 1)
            if found is None:
                self._begin(place, moment)
            else:
                self._write(place, moment)
        return Promise(place, moment, found)

    def finish(self, promise: Promise) -> None:
        """Its locker unlocked in good order. The stamp itself stays until `settle`."""
        self._done[promise.place.retention, promise.moment] = promise.found

    def settle(self, place: ObjectPlace) -> None:
        """Lower the stamp to what is still promised; only under the exclusive lock.

        Raises OSError.
        """
        if not self._done:
            return
        current = left = read(place)
        over = []
        while left is not None and (place.retention, left) in self._done:
            over.append((place.retention, left))
            left = self._done[place.retention, left]
        if left == current:
            return
        if left is None or left < time.time_ns():
            discard(place)
        else:
            self._write(place, left)
        for promise in over:
            del self._done[promise]

    def _begin(self, place: ObjectPlace, moment: int) -> None:
        """`_write` where there is no stamp yet: written where it stays.

        Nobody reads it meanwhile, as both locks are held, and what a power cut leaves of it
        was promised to nobody. So its text and its name reach the disk in one commit of
        the file system.
        """
        text = format_stamp(moment)
        self._annex.freezer.persist(
            place.directory, lambda: self._create(place.retention, text)
        )
        self._annex.sync_directory(place.directory)

    def _create(self, path: str, text: bytes) -> None:
        fd = os.open(path, _NEW | os.O_EXCL, 0o666)
        try:
            self._fill(fd, text)
        except BaseException:
            # Of a promise that was not made nothing may stay, or content could not go.
            unlink_quietly(path)
            raise

    def _write(self, place: ObjectPlace, moment: int) -> None:
        annex = self._annex
        guard = annex.locks.wait_lock(annex.paths.othertmp + ".lck", exclusive=False)
        with guard:
            annex.sharing.share(guard.fd)
            name = f"{annex.paths.othertmp}/rtm{os.getpid()}.{next(_serial)}"
            text = format_stamp(moment)
            try:
                self._write_file(name, text)
            except FileNotFoundError:
                annex.make_directories(annex.paths.othertmp)
                self._write_file(name, text)
            annex.freezer.persist(
                place.directory, lambda: os.rename(name, place.retention)
            )
        annex.sync_directory(place.directory)

    def _write_file(self, path: str, text: bytes) -> None:
        self._fill(os.open(path, _NEW | os.O_TRUNC, 0o666), text)

    def _fill(self, fd: int, text: bytes) -> None:
        """Closes the file. Raises OSError."""
        try:
            self._annex.sharing.share(fd)
            write_all(fd, text)
            if self._annex.fsync:
                os.fsync(fd)
        finally:
            os.close(fd)


class Promise:
    """A stamp that was written for one locker, and the one that was there before."""

    def __init__(self, place: ObjectPlace, moment: int, found: int | None) -> None:
        self.place = place
        self.moment = moment
        self.found = found
