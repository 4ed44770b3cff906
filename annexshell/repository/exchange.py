"""Put a file in the place of another one, unless somebody edits that one (spec 02 §13.5).

Looking first and replacing then would lose what is written in between. So the two files
change places in one step of the kernel, and what came out is looked at: if it is not what
it was taken for, or if somebody has it open for writing, they change places again. At
every moment there is a whole file in the place. Where the kernel or the file system cannot
do that, nothing is replaced.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from annexshell.repository.entries import Entry
from annexshell.repository.keysdb import Identity

log = logging.getLogger("annexshell.repository")

_RENAME_EXCHANGE = 2
_KEPT = "%s was changed while it was replaced; kept: %s"
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def replace(
    new: Entry,
    place: Entry,
    expected: Identity,
    *,
    discard: Callable[[Entry], None] = Entry.unlink,
    may_be_written: bool = False,
) -> bool:
    """Put the file ``new`` in place of the file ``expected``, which is discarded.

    False, with ``place`` as it was and ``new`` gone, if that is another file by now, or is
    being written to; with ``may_be_written`` open files are not asked for, because one of
    them is our own. Raises OSError, likewise: EPERM or EXDEV where it is impossible.
    """
    ours = new.identity()
    try:
        _exchange(new, place)
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            return _replace_by_links(new, place, expected, discard, may_be_written)
        new.unlink()
        raise
    if _is_untouched(new, expected, may_be_written):
        discard(new)
        return True
    if _put_back(new, place, ours):
        new.unlink()
    return False


def _replace_by_links(
    new: Entry,
    place: Entry,
    expected: Identity,
    discard: Callable[[Entry], None],
    may_be_written: bool,
) -> bool:
    """The same in several steps, of which none can end with an edit without a name."""
    taken = Entry(place.directory, _kept_name())
    try:
        for one in (new, place):
            # What cannot be linked now could not be put in place, or back, later.
            _link(one, taken)
            taken.unlink()
        _rename(place, taken)
    except OSError:
        new.unlink()
        raise
    if not _is_untouched(taken, expected, may_be_written):
        _restore(taken, place)
        new.unlink()
        return False
    return _put_in_empty_place(new, taken, place, discard)


def _put_in_empty_place(
    new: Entry, taken: Entry, place: Entry, discard: Callable[[Entry], None]
) -> bool:
    filled = True
    try:
        _link(new, place)
    except FileExistsError:
        filled = False  # Somebody has just made that file; what we took is not needed.
    except OSError:
        _restore(taken, place)
        new.unlink()
        raise
    _rename(taken, new)
    discard(new)
    return filled


def _restore(taken: Entry, place: Entry) -> None:
    """Give what was taken its name again, or leave it the one it has by now."""
    try:
        try:
            _link(taken, place)
            taken.unlink()
        except PermissionError:
            # A directory cannot be linked; renaming one replaces nothing but an empty one.
            if not _is_directory(taken):
                raise
            _rename(taken, place)
    except OSError:
        log.warning(_KEPT, place.name, taken.name)


def _is_directory(entry: Entry) -> bool:
    status = os.stat(entry.name, dir_fd=entry.directory, follow_symlinks=False)
    return stat.S_ISDIR(status.st_mode)


def _link(source: Entry, target: Entry) -> None:
    """Raises FileExistsError, and other OSErrors."""
    os.link(
        source.name,
        target.name,
        src_dir_fd=source.directory,
        dst_dir_fd=target.directory,
        follow_symlinks=False,
    )


def _rename(source: Entry, target: Entry) -> None:
    """Whatever is at ``target`` is replaced. Raises OSError."""
    os.rename(
        source.name,
        target.name,
        src_dir_fd=source.directory,
        dst_dir_fd=target.directory,
    )


def _kept_name() -> str:
    return f"annexshell-kept-{os.urandom(8).hex()}"


def _is_untouched(entry: Entry, expected: Identity, may_be_written: bool) -> bool:
    try:
        fd = entry.open_regular()
        if fd is None:
            return False
        try:
            # Writers first: one that has closed the file by now has changed its time.
            written = not may_be_written and _is_written(fd)
            return not written and Identity.of(os.fstat(fd)) == expected
        finally:
            os.close(fd)
    except OSError:
        # What cannot be looked at cannot be known to be untouched.
        return False


def _is_written(fd: int) -> bool:
    """Whether anybody has the file open for writing; False also if that cannot be told.

    The kernel grants a lease for reading only if nobody has.
    """
    # Breaking the lease must not kill us, as the signal for it would by default.
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _put_back(taken: Entry, place: Entry, ours: Identity | None) -> bool:
    """Undo an exchange; ``taken`` is a file of somebody's that must not be lost.

    True if what bears the name of ``taken`` in the end is not needed by anybody.
    """
    try:
        theirs = taken.identity()
        with suppress(FileNotFoundError):  # Ours was deleted, by who thought it theirs.
            _exchange(taken, place)
            if taken.identity() == ours:
                return True
            # Ours has been replaced. What did that is newer than what we took out.
            _exchange(taken, place)
            if taken.identity() == theirs:
                return True
        return _keep(taken, place)
    except OSError as error:
        log.warning("%s cannot be put back: %s", place.name, error.strerror)
        return False


def _keep(taken: Entry, place: Entry) -> bool:
    """Give a file that we must not lose a name in the work tree, its own if possible.

    False if it has none. Raises OSError.
    """
    for name in (place.name, _kept_name()):
        try:
            _link(taken, Entry(place.directory, name))
        except FileExistsError:
            continue
        log.warning(_KEPT, place.name, name)
        return True
    return False


def _exchange(one: Entry, other: Entry) -> None:
    call = _renameat2()
    first, second = os.fsencode(one.name), os.fsencode(other.name)
    if call(one.directory, first, other.directory, second, _RENAME_EXCHANGE) != 0:
        import ctypes

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), other.name)


@cache
def _renameat2() -> Any:
    import ctypes

    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError as error:
        raise OSError(errno.ENOSYS, "the C library lacks renameat2") from error
    text, number = ctypes.c_char_p, ctypes.c_int
    call.argtypes = [number, text, number, text, ctypes.c_uint]
    call.restype = number
    return call
