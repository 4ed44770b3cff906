"""Whether there is room for a key (spec 02 §10, step 4)."""

from __future__ import annotations

import os

from annexshell.errors import NotEnoughSpace
from annexshell.model.key import Key
from annexshell.repository.annex import Annex, storage
from annexshell.repository.transfers import running_downloads

_RESERVE = 100_000_000
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")


def check_space(annex: Annex, key: Key, already: int) -> None:
    """Refuse content that would use up the reserve; ``already`` bytes of it are here.

    Raises NotEnoughSpace and StorageFailed. A key of unknown size counts as one byte.
    """
    directory = annex.paths.annex_dir
    with storage("checking free space", directory):
        # Before the free space is read: what they write in between is counted twice then,
        # never not at all.
        pending = sum(
            max(0, (other.key.size or 0) - other.done)
            for other in running_downloads(annex, besides=key)
        )
        _require(annex, (1 if key.size is None else key.size) + pending - already)


def check_room(annex: Annex, wanted: int) -> None:
    """Refuse ``wanted`` more bytes of a key that does not say its size.

    Asked before each piece too: who sends such keys may send as many as they like, side
    by side. Raises NotEnoughSpace and StorageFailed.
    """
    with storage("checking free space", annex.paths.annex_dir):
        _require(annex, wanted)


def room(annex: Annex) -> int:
    """Bytes that can be written before the reserve is touched, at least 0.

    Raises StorageFailed.
    """
    with storage("checking free space", annex.paths.annex_dir):
        return max(0, _free(annex))


def _require(annex: Annex, wanted: int) -> None:
    missing = wanted - _free(annex)
    if missing > 0:
        raise NotEnoughSpace(missing=roughly(missing), where=annex.paths.annex_dir)


def _free(annex: Annex) -> int:
    """Free bytes less the reserve; negative within it. Raises OSError."""
    disk = os.statvfs(annex.paths.annex_dir)
    reserve = annex.config.size("annex.diskreserve", _RESERVE)
    return disk.f_bavail * disk.f_frsize - reserve


def roughly(count: int) -> str:
    """A number of bytes for a person: ``99.92 TB``."""
    # More than a float holds would not be read differently.
    count, unit = min(count, 10**30), 0
    while count >= 1000 ** (unit + 1) and unit + 1 < len(_UNITS):
        unit += 1
    value = count / 1000**unit if unit else float(count)
    return f"{value:.2f}".rstrip("0").rstrip(".") + f" {_UNITS[unit]}"
