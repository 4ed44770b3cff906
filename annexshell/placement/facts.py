"""What the gateway knows of one key, looked up when it is asked for (spec 04 §3.3, §3.8)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from functools import cached_property

from annexshell.logs.equivalent import equivalent_keys, equivalent_path
from annexshell.logs.location import holders
from annexshell.logs.metadata import current_metadata, metadata_path
from annexshell.logs.urls import present_urls, urls_path
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.placement.attributes import attribute_numcopies
from annexshell.repository.branch import Branch
from annexshell.repository.open import Repository
from annexshell.wanted.effort import TooMuchWork
from annexshell.wanted.facts import Configuration

_MOST = 1 << 20
"""Bytes of one log about a key that are looked through; in memory each takes fifty."""


def associated_file(name: bytes, top: str) -> str | None:
    """The path that a client names, as expressions look at it; None if it names none.

    It is relative to ``top``, the repository's own absolute path, and made normal without
    looking at the disk (spec 04 §3.4). ``../x`` leads out of the repository, and the top
    itself is the empty path.
    """
    if not name:
        return None
    path = posixpath.normpath(name.decode("utf-8", "surrogateescape"))
    if path == ".." or path.startswith("../"):
        path = _back_into(top.split("/")[1:], path.split("/"))
    return "" if path == "." else path


def _back_into(top: list[str], path: list[str]) -> str:
    """``../top/x`` is ``x``; what leads above the root is left as it is."""
    out = path.count("..")
    names = path[out:]
    common = 0
    if out <= len(top):
        for one, other in zip(top[len(top) - out :], names, strict=False):
            if one != other:
                break
            common += 1
    return "/".join([".."] * (out - common) + names[common:]) or "."


class BranchFacts:
    """The `Facts` of one key in one repository. Each is read once, when it is asked for.

    ``file`` is as `associated_file` gives it. Raises BranchUnreadable, JournalFailed,
    StorageFailed, GitFailed and OSError, and TooMuchWork for a log that is too large.
    """

    def __init__(
        self,
        repository: Repository,
        branch: Branch,
        configuration: Configuration,
        key: Key | None,
        file: str | None,
        sizes: Callable[[], Mapping[UUID, int]],
    ) -> None:
        self._repository = repository
        self._branch = branch
        self._configuration = configuration
        self._key = key
        self._file = file
        self._look_up_sizes = sizes
        self._one_level = repository.config.boolean("annex.tune.branchhash1", False)

    @property
    def key(self) -> Key | None:
        return self._key

    @property
    def file(self) -> str | None:
        return self._file

    def holders(self) -> frozenset[UUID]:
        """See `Facts`, as for all methods here."""
        return self._holders

    def here(self) -> UUID | None:
        # Of its own content git-annex looks at the object, whatever the log says.
        return self._repository.uuid or None

    def holds(self) -> bool:
        return self._holds

    def metadata(self) -> Mapping[str, frozenset[str]]:
        return self._metadata

    def urls(self) -> frozenset[str]:
        return self._urls

    def equivalents(self) -> frozenset[Key]:
        return self._equivalents

    def numcopies(self) -> int | None:
        return self._numcopies

    def unused(self) -> bool:
        return self._unused

    def sizes(self) -> Mapping[UUID, int]:
        return self._sizes

    # -- looked up ------------------------------------------------------------------------

    @cached_property
    def _holders(self) -> frozenset[UUID]:
        if self._key is None:
            return frozenset()
        return holders(self._branch.read(self._branch.location_path(self._key)))

    @cached_property
    def _holds(self) -> bool:
        if self._key is None:
            return False
        # A gateway that is no node of its cluster never asks.
        from annexshell.repository.annex import Annex
        from annexshell.repository.objects import Objects

        annex = Annex(self._repository)
        objects = Objects(annex)
        # With annex.thin an object can be edited, and is nobody's content then.
        found = (objects.locate if annex.thin else objects.find)(self._key)
        return found is not None

    @cached_property
    def _metadata(self) -> Mapping[str, frozenset[str]]:
        if self._key is None:
            return {}
        path = metadata_path(self._key, one_level=self._one_level)
        return current_metadata(self._read(path))

    @cached_property
    def _urls(self) -> frozenset[str]:
        if self._key is None:
            return frozenset()
        path = urls_path(self._key, one_level=self._one_level)
        return present_urls(self._read(path))

    @cached_property
    def _equivalents(self) -> frozenset[Key]:
        if self._key is None:
            return frozenset()
        path = equivalent_path(self._key, one_level=self._one_level)
        return equivalent_keys(self._read(path))

    def _read(self, path: bytes) -> bytes:
        content = self._branch.read(path)
        if len(content) > _MOST:
            name = path.rpartition(b".")[2].decode()
            raise TooMuchWork(detail=f"its .{name} log has over {_MOST} bytes")
        return content

    @cached_property
    def _numcopies(self) -> int | None:
        if self._file is None:
            return None
        return attribute_numcopies(self._repository, self._file)

    @cached_property
    def _unused(self) -> bool:
        if self._key is None or self._file is not None:
            return False
        try:
            with open(f"{self._repository.annex_dir}/unused", "rb") as file:
                return any(_names(line, self._key) for line in file)
        except FileNotFoundError:
            return False

    @cached_property
    def _sizes(self) -> Mapping[UUID, int]:
        return self._look_up_sizes()


def _names(line: bytes, key: Key) -> bool:
    """Whether a line of annex/unused, ``NUMBER KEY TIME``, is about ``key``."""
    _, _, rest = line.rstrip(b"\n").partition(b" ")
    return key.text in (rest, rest.rpartition(b" ")[0])
