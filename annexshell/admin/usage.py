"""How full repositories are: the table that ``maxsize`` shows (spec 04 §8)."""

from __future__ import annotations

from contextlib import closing

import attrs

from annexshell.admin.gateway import Gateway
from annexshell.admin.repositories import Names
from annexshell.errors import printable
from annexshell.logs.mapped import Trust
from annexshell.logs.maxsize import maxsizes
from annexshell.model.ids import UUID
from annexshell.repository.sizes import RepoSizes
from annexshell.repository.sizing import measure

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB", "RB", "QB")
HEADING = "   size maxsize  %full  repository"


@attrs.frozen
class Usage:
    """One repository: bytes that its content has, and the most that it is to have.

    ``name`` is as git-annex spells it, fit to be printed.
    """

    uuid: UUID
    name: str
    description: str
    here: bool
    size: int
    maxsize: int | None

    @property
    def full(self) -> str:
        """In percent; empty if there is no limit."""
        if self.maxsize is None:
            return ""
        if self.size > self.maxsize:
            return ">100%"
        return f"{round(self.size * 100 / self.maxsize) if self.maxsize else 0}%"

    def line(self, *, exact: bool) -> str:
        """A row under `HEADING`; ``exact`` is for bytes."""
        size, limit = (
            "" if n is None else str(n) if exact else rough_size(n)
            for n in (self.size, self.maxsize)
        )
        about = f" -- {self.name}" if self.name else ""
        return f"{size:>7} {limit:>7} {self.full:>6}  {printable(self.uuid)}{about}"

    def as_json(self) -> dict[str, object]:
        """As in the JSON of ``git annex maxsize``."""
        return {
            "uuid": self.uuid.decode("utf-8", "backslashreplace"),
            "description": self.description,
            "here": self.here,
            "size": {"size": self.size, "maxsize": self.maxsize},
        }


def usage(gateway: Gateway) -> list[Usage]:
    """All repositories that are not dead, those with the highest limits first.

    Raises BranchUnreadable and JournalFailed.
    """
    names = Names.of(gateway)
    limits = maxsizes(gateway.branch.read(b"maxsize.log"))
    sizes = current_sizes(gateway)
    trust = gateway.branch.trust()
    known = names.known
    every = {*sizes, *limits, *known.descriptions, known.gateway}
    found = [
        Usage(
            uuid,
            names.spelled(uuid),
            names.described(uuid),
            uuid == known.gateway,
            sizes.get(uuid, 0),
            limits.get(uuid),
        )
        for uuid in every
        if trust.get(uuid) is not Trust.DEAD
    ]
    return sorted(found, key=_order, reverse=True)


def current_sizes(gateway: Gateway) -> dict[UUID, int]:
    """Bytes that each repository has. Raises BranchUnreadable and JournalFailed."""
    with closing(RepoSizes(gateway.repository, gateway.branch)) as sizes:
        # Empty is what it gives where it fails; the branch alone then says why.
        return dict(sizes.current()) or measure(gateway.repository).sizes


def _order(one: Usage) -> tuple[bool, int, int, UUID]:
    return one.maxsize is not None, one.maxsize or 0, one.size, one.uuid


def rough_size(size: int) -> str:
    """As git-annex says it: whole numbers of the largest unit that fits."""
    power = 0
    while power + 1 < len(_UNITS) and abs(size) >= 1000 ** (power + 1):
        power += 1
    return f"{round(size / 1000**power)} {_UNITS[power]}"
