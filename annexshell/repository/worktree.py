"""Unlocked files: content in the work tree, or a pointer in its place (spec 02 §13.5).

Nothing here can fail an operation on the object: a file that cannot be brought up to date
is left as it is. ``git annex fix`` fills a pointer that stayed, ``git annex add`` takes in
content that stayed. A file that somebody changed is never touched.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from annexshell.errors import RequestError
from annexshell.model.key import Key
from annexshell.model.writing import write_all
from annexshell.repository import restage
from annexshell.repository.annex import Annex
from annexshell.repository.associated import Associated
from annexshell.repository.copying import copy_content
from annexshell.repository.entries import Entry, scratch, work_file
from annexshell.repository.exchange import replace
from annexshell.repository.gitprocess import GitFailed
from annexshell.repository.hashing import Verifier, check_of
from annexshell.repository.keysdb import (
    Identity,
    InodeCache,
    forget_caches,
    inode_caches,
    record_caches,
)
from annexshell.repository.objects import digest_range
from annexshell.repository.pointers import MAX_POINTER, pointer_key, pointer_text
from annexshell.repository.space import check_space

log = logging.getLogger("annexshell.repository")

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_READABLE = stat.S_IRUSR | stat.S_IWUSR
_Changed = dict[bytes, Identity]


class WorkTree:
    """The unlocked files of a repository that is not bare."""

    def __init__(self, annex: Annex) -> None:
        self._annex = annex
        self._associated = Associated(annex)
        self._top = annex.repository.work_tree or ""

    def fill(self, key: Key, source: str) -> None:
        """Have the key's pointer files become its content, the object ``source``.

        Under the shared content lock. Raises nothing.
        """
        with self._noting(f"work tree files of {key} stay pointers"):
            files = self._associated.of(key)
            if not files.known:
                return
            changed = self._each(files.unlocked, partial(self._fill, key, source))
            seen = [Identity.of(os.lstat(source)), *changed.values()]
            self._finish(changed, lambda: record_caches(self._annex, key, seen))

    def empty(self, key: Key, removed: os.stat_result) -> None:
        """Have unmodified files with the key's content become pointers.

        Under the exclusive content lock, after the object, which was ``removed``, is gone.
        Raises nothing.
        """
        with self._noting(f"work tree files of {key} keep their content"):
            caches = inode_caches(self._annex, key)
            empty = partial(self._empty, key, caches, removed)
            changed: _Changed = {}
            with self._noting(f"work tree files of {key} keep their content"):
                changed = self._each(self._associated.of(key).unlocked, empty)
            self._finish(changed, lambda: forget_caches(self._annex, key))

    def _each(
        self, paths: list[bytes], change: Callable[[bytes, Entry], Identity | None]
    ) -> _Changed:
        changed = {}
        for path in paths:
            with self._noting(f"{os.fsdecode(path)} is left as it is"):
                with work_file(self._top, path) as place:
                    identity = change(path, place) if place is not None else None
                if identity is not None:
                    changed[path] = identity
        return changed

    def _finish(self, changed: _Changed, record: Callable[[], None]) -> None:
        with self._noting("git-annex will have to look at the content again"):
            record()
        with self._noting("git status will call files modified that are not"):
            restage.note(self._annex, changed)

    @contextmanager
    def _noting(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except (OSError, RequestError, GitFailed) as error:
            where = self._annex.repository.path
            log.warning("%s: %s: %s", where, consequence, error)

    # -- from pointer to content ----------------------------------------------------------

    def _fill(
        self, key: Key, source: str, path: bytes, place: Entry
    ) -> Identity | None:
        pointer = _read_pointer(place, key)
        if pointer is None:
            return None
        mode = stat.S_IMODE(pointer.st_mode) & 0o777 | _READABLE
        with scratch(self._annex) as new:
            linked = self._make(key, source, new, mode)
            identity = new.identity()
            filled = False
            try:
                filled = replace(new, place, Identity.of(pointer))
            finally:
                if linked and not filled:
                    self._annex.freezer.protect(source)
        return identity if filled else _leave(path)

    def _make(self, key: Key, source: str, new: Entry, mode: int) -> bool:
        """Make ``new`` with the content; whether it is the object itself."""
        try:
            if self._link(source, new, mode):
                return True
            self._copy(key, source, new, mode)
            return False
        except BaseException:
            new.unlink()
            raise

    def _link(self, source: str, new: Entry, mode: int) -> bool:
        """With annex.thin, a second name of the object, which becomes writable by that."""
        if not self._annex.thin or os.lstat(source).st_nlink != 1:
            return False
        try:
            os.link(source, new.name, dst_dir_fd=new.directory, follow_symlinks=False)
        except OSError:
            return False  # Another file system, or one without links: copy.
        self._annex.freezer.thaw_object(source)
        readers = stat.S_IMODE(os.lstat(source).st_mode) & 0o444
        os.chmod(source, mode | readers)
        return True

    def _copy(self, key: Key, source: str, new: Entry, mode: int) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(source, flags)
        try:
            status = os.fstat(fd)
            # What a key without a size needs is known by now.
            check_space(self._annex, key, (key.size or 1) - status.st_size)
            target = os.open(new.name, _NEW, 0o600, dir_fd=new.directory)
            try:
                copy_content(fd, target, status.st_size)
                self._complete(target, mode, status.st_mtime_ns)
            finally:
                os.close(target)
        finally:
            os.close(fd)

    def _complete(self, fd: int, mode: int, mtime_ns: int) -> None:
        os.fchmod(fd, mode)
        if self._annex.fsync:
            os.fsync(fd)
        os.utime(fd, ns=(mtime_ns, mtime_ns))

    # -- from content to pointer ----------------------------------------------------------

    def _empty(
        self,
        key: Key,
        caches: list[InodeCache],
        removed: os.stat_result,
        path: bytes,
        place: Entry,
    ) -> Identity | None:
        status = self._unmodified(key, caches, removed, path, place)
        if status is None:
            return None
        mode = stat.S_IMODE(status.st_mode) & 0o777
        held = False
        if os.path.samestat(status, removed) and not self._annex.separate_locks:
            # Before version 10 the lock is on the object, open for writing, and locking
            # has frozen it.
            held, mode = True, mode | stat.S_IWUSR
        with scratch(self._annex) as new:
            identity = self._write_pointer(key, new, mode, status.st_mtime_ns)
            emptied = replace(
                new,
                place,
                Identity.of(status),
                discard=self._discard,
                may_be_written=held,
            )
        return identity if emptied else _leave(path)

    def _unmodified(
        self,
        key: Key,
        caches: list[InodeCache],
        removed: os.stat_result,
        path: bytes,
        place: Entry,
    ) -> os.stat_result | None:
        """The status of a file that has the content; None if it is anything else."""
        fd = place.open_regular()
        if fd is None:
            return None
        try:
            status = os.fstat(fd)
            if _is_content(self._annex, fd, key, caches):
                return status
            if os.path.samestat(status, removed):
                self._thaw(fd, path)
            return None
        finally:
            os.close(fd)

    def _thaw(self, fd: int, path: bytes) -> None:
        """A modified file that was the frozen object itself is its owner's alone now."""
        self._annex.hooks.thaw(os.path.join(self._top, os.fsdecode(path)))
        with suppress(PermissionError):
            os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode) | stat.S_IWUSR)

    def _write_pointer(
        self, key: Key, new: Entry, mode: int, mtime_ns: int
    ) -> Identity:
        fd = os.open(new.name, _NEW, 0o600, dir_fd=new.directory)
        try:
            write_all(fd, pointer_text(key))
            self._complete(fd, mode, mtime_ns)
            return Identity.of(os.fstat(fd))
        except BaseException:
            new.unlink()
            raise
        finally:
            os.close(fd)

    def _discard(self, old: Entry) -> None:
        """Remove what was in the work tree, erased unless it has another name."""
        if self._annex.hooks.erases:
            status = os.stat(old.name, dir_fd=old.directory, follow_symlinks=False)
            if status.st_nlink == 1:
                self._annex.hooks.erase(f"{self._annex.paths.othertmp}/{old.name}")
        old.unlink()


def _read_pointer(place: Entry, key: Key) -> os.stat_result | None:
    """The status of a file that is a pointer to the key; None if it is anything else."""
    fd = place.open_regular()
    if fd is None:
        return None
    try:
        status = os.fstat(fd)
        if status.st_size > MAX_POINTER:
            return None
        content = os.read(fd, MAX_POINTER + 1)
    finally:
        os.close(fd)
    return status if pointer_key(content) == key else None


def _is_content(annex: Annex, fd: int, key: Key, caches: list[InodeCache]) -> bool:
    """Whether a file has exactly the key's content.

    Unlike elsewhere a weak match does not do, nor the size alone: the bytes are about to go.
    """
    identity = Identity.of(os.fstat(fd))
    if key.size is not None and identity.size != key.size:
        return False
    if any(cache.matches(identity, weak=False) for cache in caches):
        return True
    try:
        verifier = Verifier(check_of(annex.repository, key))
    except RequestError as error:
        log.warning("%s", error)
        return False
    if not verifier.computes:
        return False
    digest_range(fd, verifier, identity.size)
    return verifier.ok() and Identity.of(os.fstat(fd)) == identity


def _leave(path: bytes) -> Identity | None:
    log.warning("%s is being changed; it is left as it is", os.fsdecode(path))
    return None
