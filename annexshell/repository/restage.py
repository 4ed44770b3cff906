"""Tell git-annex which index entries to refresh (spec 02 §13.5).

When a work tree file changes between pointer and content, what the index knows of the
file's size and time is outdated, and ``git status`` calls it modified. git-annex refreshes
the entries of the files listed here, which needs its own clean filter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from annexshell.model.writing import write_all
from annexshell.repository.annex import Annex, storage
from annexshell.repository.keysdb import Identity


def note(annex: Annex, changed: Mapping[bytes, Identity]) -> None:
    """Append files, by their paths from the top. Raises StorageFailed and LockTimeout.

    A line cannot hold a path with a line feed; those are left out, as git-annex does.
    """
    lines = [
        identity.text.encode() + b":" + path + b"\n"
        for path, identity in changed.items()
        if b"\n" not in path
    ]
    if not lines:
        return
    log = annex.paths.annex_dir + "/restage.log"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = annex.paths.annex_dir + "/restage.lck"
    with (
        storage("noting files to restage", log),
        annex.locks.wait_lock(lock, exclusive=True) as held,
    ):
        annex.sharing.share(held.fd)
        fd = os.open(log, flags | os.O_NONBLOCK, 0o666)
        try:
            annex.sharing.share(fd)
            write_all(fd, b"".join(lines))
        finally:
            os.close(fd)
