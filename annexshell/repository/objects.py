"""Which content is here, and reading it (spec 02 §4.5, §12).

Content is present if its object is a regular file of the key's size. With annex.thin it
must also be unmodified, which may take reading all of it: call from a thread then.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from typing import NamedTuple

from annexshell.errors import StorageFailed
from annexshell.model.key import Key
from annexshell.repository.annex import Annex, failed, storage
from annexshell.repository.durable import Closing
from annexshell.repository.hashing import Verifier, check_of
from annexshell.repository.keysdb import Identity, inode_caches, inodes_changed
from annexshell.repository.paths import ObjectPlace
from annexshell.repository.remedies import explained

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Bytes read at once where content is hashed."""

_ABSENT = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG))
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Found(NamedTuple):
    """An object that exists, whether or not it is good."""

    place: ObjectPlace
    status: os.stat_result


class Objects:
    """The objects of one repository."""

    def __init__(self, annex: Annex) -> None:
        self._annex = annex
        self._judged: dict[tuple[Key, Identity], bool] = {}

    def find(self, key: Key) -> Found | None:
        """The object as it lies there: the first regular file in search order.

        Raises StorageFailed where the disk does not tell.
        """
        paths = self._annex.paths
        for scheme in paths.schemes:
            place = paths.place(key, scheme)
            status = status_of(place.object)
            if status is not None and stat.S_ISREG(status.st_mode):
                return Found(place, status)
        return None

    def place(self, key: Key) -> ObjectPlace:
        """Where the object is, or where it would go."""
        found = self.find(key)
        return self._annex.paths.places(key)[0] if found is None else found.place

    def locate(self, key: Key) -> ObjectPlace | None:
        """Where the content is present; None if it is not."""
        found = self.find(key)
        return found.place if found and self.good(key, found) else None

    def present(self, key: Key) -> bool:
        """Whether the content is here. Raises StorageFailed; never guesses."""
        found = self.find(key)
        return found is not None and self.good(key, found)

    def good(self, key: Key, found: Found) -> bool:
        """Whether an object counts as the key's content (spec 02 §12, §13.6)."""
        if key.size is not None and found.status.st_size != key.size:
            return False
        return not self._annex.thin or self._unmodified(key, found)

    def open_for_get(self, key: Key, offset: int = 0) -> OpenObject | None:
        """The content, opened at ``offset``; None if it is not present.

        Decided before anything is promised to the receiver. Raises StorageFailed.
        """
        found = self.find(key)
        if found is None or not self.good(key, found):
            return None
        with storage("opening content", found.place.object):
            try:
                fd = os.open(found.place.object, _READ)
            except FileNotFoundError:
                return None
            try:
                opened = OpenObject(fd, found.place.object, offset)
            except BaseException:
                os.close(fd)
                raise
        if opened.identity != Identity.of(found.status) or self._linked_edit(
            key, found
        ):
            opened.close()
            return None
        return opened

    def _linked_edit(self, key: Key, found: Found) -> bool:
        """Whether the object was edited through another name that it has.

        Without annex.thin only what git-annex recorded is believed: other hard links,
        such as those of annex.hardlink, need no reading.
        """
        if self._annex.repository.bare or found.status.st_nlink == 1:
            return False
        return bool(inode_caches(self._annex, key)) and not self._unmodified(key, found)

    def _unmodified(self, key: Key, found: Found) -> bool:
        identity = Identity.of(found.status)
        known = self._judged.get((key, identity))
        if known is None:
            known = self._judge(key, found.place.object, identity)
            self._judged[key, identity] = known
        return known

    def _judge(self, key: Key, path: str, identity: Identity) -> bool:
        caches = inode_caches(self._annex, key)
        weak = bool(caches) and inodes_changed(self._annex)
        if any(cache.matches(identity, weak=weak) for cache in caches):
            return True
        verifier = Verifier(check_of(self._annex.repository, key))
        if not verifier.verifies:
            # Without a digest an edit that keeps the size can be told by the record alone.
            return not caches
        with storage("reading content", path):
            fd = os.open(path, _READ)
            try:
                digest_range(fd, verifier, identity.size)
                same = Identity.of(os.fstat(fd)) == identity
            finally:
                os.close(fd)
        return same and verifier.ok(path)


class OpenObject(Closing):
    """Content that can be read, even if it is removed meanwhile."""

    def __init__(self, fd: int, path: str, offset: int) -> None:
        self.fd = fd
        self._path = path
        self.identity = Identity.of(os.fstat(fd))
        self.size = self.identity.size
        self.offset = min(offset, self.size)

    @property
    def path(self) -> str:
        """The name it was opened by; `still_valid` tells if it is that file's still."""
        return self._path

    @property
    def length(self) -> int:
        """Bytes from the offset to the end."""
        return self.size - self.offset

    def still_valid(self) -> bool:
        """Whether what was read since opening was the key's content, for all we know.

        A disk that does not tell gives no reason to vouch for it.
        """
        try:
            status = status_of(self._path)
            now = os.fstat(self.fd)
        except (OSError, StorageFailed) as error:
            told = explained(error) if isinstance(error, OSError) else error
            log.warning("cannot tell whether %s changed: %s", self._path, told)
            return False
        return (
            status is not None
            and Identity.of(status) == self.identity
            and Identity.of(now) == self.identity
        )

    def close(self) -> None:
        """Doing it twice is harmless."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def status_of(path: str) -> os.stat_result | None:
    """lstat, or None if nothing is there. Raises StorageFailed if that cannot be told."""
    try:
        return os.lstat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise failed("looking for content", path, error) from error


def digest_range(fd: int, verifier: Verifier, end: int) -> None:
    """Feed the file from where the verifier is up to byte ``end``, or the file's end.

    Bytes that do not matter are only counted.
    """
    if not verifier.computes:
        verifier.count = max(verifier.count, end)
    while verifier.count < end:
        wanted = min(CHUNK, end - verifier.count)
        chunk = os.pread(fd, wanted, verifier.count)
        if not chunk:
            return
        verifier.update(chunk)
