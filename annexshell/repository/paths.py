"""Where everything of a key lives under ``annex/`` (spec 02 §1, §4.4, §4.5). Pure.

Paths are text as the operating system wants it; the bytes of a key's file name survive
the way there and back.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple

from annexshell.errors import KeyNotStorable, Unsupported
from annexshell.model.key import Key
from annexshell.repository.open import Repository

_MIXED = "0123456789zqjxkmvwgpfZQJXKMVWGPF"
_NAME_MAX = 255
"""Bytes in one component of a path, on every file system that git-annex supports."""

_TUNE = "annex.tune."
_TUNES = frozenset(("objecthash1", "objecthashlower", "branchhash1"))

LOWER = "lower"
MIXED = "mixed"


def hash_directories(key: Key, scheme: str, levels: int = 2) -> str:
    """The directories that spread keys out: ``f87/4d5`` or ``pX/ZJ`` (spec 02 §4.4)."""
    return _spread(key.digest, scheme, levels)


def _spread(digest: bytes, scheme: str, levels: int) -> str:
    if scheme == LOWER:
        digits = digest[:3].hex()
        first, second = digits[:3], digits[3:]
    else:
        word = int.from_bytes(digest[:4], "little")
        c = [_MIXED[(word >> 6 * i) & 31] for i in range(4)]
        first, second = c[1] + c[0], c[3] + c[2]
    return f"{first}/{second}" if levels > 1 else first


class ObjectPlace(NamedTuple):
    """A directory that holds, or may come to hold, one key's content."""

    directory: str
    object: str

    @property
    def lock(self) -> str:
        """The content lock of version 10."""
        return self.object + ".lck"

    @property
    def retention(self) -> str:
        """The time until which the content was promised to stay."""
        return self.object + ".rtm"

    @property
    def retention_lock(self) -> str:
        return self.object + ".rtl"


class AnnexPaths(NamedTuple):
    """The paths of one repository."""

    annex_dir: str
    git_dir: str
    schemes: tuple[str, ...]
    levels: int
    log_levels: int

    @classmethod
    def of(cls, repository: Repository) -> AnnexPaths:
        """The paths by the repository's kind and its tuning (spec 02 §4.5).

        Raises Unsupported for a tuning we do not know: content would not be found, and
        what was stored would not be found by git-annex.
        """
        config = repository.config
        for name in config.names(_TUNE):
            if name[len(_TUNE) :] not in _TUNES and config.boolean(name, True):
                raise Unsupported(setting=name, path=repository.path)
        return cls(
            repository.annex_dir,
            os.path.dirname(repository.annex_dir),
            _schemes(repository),
            1 if config.boolean("annex.tune.objecthash1", False) else 2,
            1 if config.boolean("annex.tune.branchhash1", False) else 2,
        )

    @property
    def objects(self) -> str:
        return self.annex_dir + "/objects"

    @property
    def sentinal(self) -> str:
        """The inode sentinel; before version 10 also a lock (spec 02 §7.2)."""
        return self.annex_dir + "/sentinal"

    @property
    def othertmp(self) -> str:
        return self.annex_dir + "/othertmp"

    def places(self, key: Key) -> tuple[ObjectPlace, ...]:
        """Where the content may be, in search order; new content goes to the first."""
        return tuple(self.place(key, scheme) for scheme in self.schemes)

    def place(self, key: Key, scheme: str) -> ObjectPlace:
        """Where the content may be by one of the ``schemes``."""
        # By bytes alone, which is quicker than by keys: every request asks.
        return _place(self.annex_dir, scheme, self.levels, key.digest, key.file_name)

    def tmp(self, key: Key) -> str:
        """The content received so far, whoever sends it."""
        return f"{self.annex_dir}/tmp/{_name(key)}"

    def work(self, key: Key) -> str:
        """A downloader's work area, which must not outlive `tmp`."""
        return f"{self.annex_dir}/tmp/work.{_name(key)}"

    def bad(self, key: Key) -> str:
        """Where content that is not the key's is put aside."""
        return f"{self.annex_dir}/bad/{_name(key)}"

    def download_lock(self, key: Key) -> str:
        """Held while the key is received, whoever sends it."""
        return f"{self.annex_dir}/transfer/download/lck/lck.{_name(key)}"

    def transfer_lock(self, direction: str, peer: str, key: Key) -> str:
        return f"{self.annex_dir}/transfer/{direction}/{peer}/lck.{_name(key)}"

    def transfer_info(self, direction: str, peer: str, key: Key) -> str:
        return f"{self.annex_dir}/transfer/{direction}/{peer}/{_name(key)}"

    def failed_info(self, direction: str, peer: str, key: Key) -> str:
        return f"{self.annex_dir}/transfer/failed/{direction}/{peer}/{_name(key)}"

    def check_storable(self, key: Key) -> None:
        """Refuse a key of which some derived name is too long for a file (spec 02 §2.5).

        Raises KeyNotStorable.
        """
        name = key.file_name
        hashed = hash_directories(key, LOWER, self.log_levels).replace("/", "_")
        longest = max(
            len(name) + len(".lck"),
            len("work.") + len(name),
            len(hashed) + len("_") + len(name.replace(b"_", b"__")) + len(".log"),
        )
        if longest > _NAME_MAX:
            raise KeyNotStorable(
                key=key,
                detail=f"its file names are {longest - _NAME_MAX} bytes too long",
            )


@lru_cache(maxsize=128)
def _place(
    annex_dir: str, scheme: str, levels: int, digest: bytes, file_name: bytes
) -> ObjectPlace:
    # Kept because one request asks ten times.
    name = os.fsdecode(file_name)
    directory = f"{annex_dir}/objects/{_spread(digest, scheme, levels)}/{name}"
    return ObjectPlace(directory, f"{directory}/{name}")


def _schemes(repository: Repository) -> tuple[str, ...]:
    config = repository.config
    if repository.bare:
        return (LOWER, MIXED)
    if config.boolean("annex.tune.objecthashlower", False):
        return (LOWER,)
    crippled = config.boolean("annex.crippledfilesystem", False)
    if crippled and not config.boolean("core.symlinks", True):
        return (LOWER, MIXED)
    return (MIXED, LOWER)


def _name(key: Key) -> str:
    return os.fsdecode(key.file_name)
