"""Copying content within one machine, sharing the blocks where the file system can."""

from __future__ import annotations

import errno
import fcntl
import os

from annexshell.model.writing import write_all
from annexshell.repository.objects import CHUNK

_FICLONE = 0x40049409
_UNABLE = frozenset(
    (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)
)


def copy_content(source: int, target: int, size: int) -> None:
    """Copy ``size`` bytes into an empty file.

    Raises OSError, also if the source has fewer.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
        done = os.fstat(target).st_size
    except OSError:
        done = _copy_range(source, target, size)
    if done != size:
        raise OSError(errno.EIO, f"only {done} of {size} bytes could be copied")


def _copy_range(source: int, target: int, size: int) -> int:
    done = 0
    try:
        while done < size:
            count = os.copy_file_range(source, target, size - done, done, done)
            if not count:
                break
            done += count
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
    return done + _copy_bytes(source, target, done)


def _copy_bytes(source: int, target: int, offset: int) -> int:
    os.lseek(target, offset, os.SEEK_SET)
    done = 0
    while chunk := os.pread(source, CHUNK, offset + done):
        write_all(target, chunk)
        done += len(chunk)
    return done
