"""What one evaluation knows: facts looked up once, and counted once (spec 04 §3.3, §3.6)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from annexshell.logs.clusters import with_clusters
from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID, is_cluster_uuid
from annexshell.model.key import Key
from annexshell.wanted.balanced import (
    Space,
    fully_balanced,
    fully_size_balanced,
    rebalanced,
)
from annexshell.wanted.effort import JUMP, MEMBER, Effort
from annexshell.wanted.facts import Configuration, Facts, Question

if TYPE_CHECKING:
    from annexshell.wanted.expression import Expression, Program

_NOBODY: frozenset[UUID] = frozenset()
_PICKING = 12 * MEMBER


class Expansions(NamedTuple):
    """What ``standard`` and ``groupwanted`` stand for, in one repository's expression.

    None is ``present``. In a groupwanted expression ``groupwanted`` is that always.
    """

    standard: Expression | None = None
    groupwanted: Expression | None = None

    def of(self, name: str) -> Expression | None:
        """What the term ``name`` stands for."""
        return self.standard if name == "standard" else self.groupwanted


class Selector(NamedTuple):
    """Which locations are counted: by trust level, by group, or all."""

    group: str | None = None
    levels: frozenset[Trust] | None = None


ALL = Selector()

_ORDER = (Trust.DEAD, Trust.UNTRUSTED, Trust.SEMITRUSTED, Trust.TRUSTED)
_LEVELS = {
    **{level.value: frozenset((level,)) for level in _ORDER},
    **{level.value + "+": frozenset(_ORDER[n:]) for n, level in enumerate(_ORDER)},
}


def selector(text: str) -> Selector:
    """A trust level, one with ``+`` for that and higher, or else a group (§3.6)."""
    levels = _LEVELS.get(text)
    return Selector(group=text) if levels is None else Selector(levels=levels)


class Groups(NamedTuple):
    """Those in any of the groups ``added``, or all if it has none, without ``removed``."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def groups(text: str) -> Groups:
    """``A+B-C``, as in ``copies=A+B-C=2``; of several signs the last one counts."""
    named: dict[str, list[str]] = {"+": [], "-": []}
    sign = "+"
    for word in _SIGNED.findall(text):
        if word in named:
            sign = word
        else:
            named[sign].append(word)
    return Groups(tuple(named["+"]), tuple(named["-"]))


_SIGNED = re.compile(r"[+-]|[^+-]+")


class Known:
    """What is the same for all repositories that are asked about one key.

    Whoever asks for many of them gives this to each evaluation, as long as the facts are
    to count as they were: they are asked for once, and so is what follows from them. All
    evaluations together may take as much as there is of ``effort``.
    """

    def __init__(
        self, facts: Facts, configuration: Configuration, effort: Effort | None = None
    ) -> None:
        self.facts, self.configuration = facts, configuration
        self.spend = (effort or Effort()).spend
        self._holders: frozenset[UUID] | None = None
        self._locations: frozenset[UUID] | None = None
        self._numcopies: int | None = None
        self._spaces: dict[bool, Space] = {}

    def holders(self) -> frozenset[UUID]:
        """Those in the location log."""
        if self._holders is None:
            self._holders = self.facts.holders()
        return self._holders

    def locations(self) -> frozenset[UUID]:
        """The living ones of them, and their clusters."""
        if self._locations is None:
            holders = self.holders()
            self.spend(MEMBER * len(holders))
            self._locations = self.configuration.locations(holders)
        return self._locations

    def numcopies(self, *, attributes: bool = True) -> int:
        """How many copies there should be, by the global view (spec 04 §6)."""
        if not attributes or self.facts.file is None:
            return max(1, self.configuration.numcopies)
        if self._numcopies is None:
            asked = self.facts.numcopies()
            self._numcopies = max(
                1, self.configuration.numcopies if asked is None else asked
            )
        return self._numcopies

    def picks(
        self, key: Key, members: frozenset[UUID], count: int, by_size: bool
    ) -> frozenset[UUID]:
        """Those of ``members`` that are chosen for the key (spec 04 §7)."""
        space = self._space(key, not members.isdisjoint(self.configuration.maxsize))
        before = space.picks
        if by_size:
            found = fully_size_balanced(members, count, space)
        elif self.configuration.rebalance:
            found = rebalanced(members, count, space, self.configuration.threshold)
        else:
            found = fully_balanced(members, count, space)
        self.spend(JUMP + _PICKING * len(members) * (space.picks - before))
        return found

    def _space(self, key: Key, limited: bool) -> Space:
        """Without limits neither sizes nor holders matter, and are not asked for."""
        if limited not in self._spaces:
            holders = self.holders() if limited else _NOBODY
            if holders:  # with their clusters, and the dead ones too
                holders = with_clusters(holders, self.configuration.clusters)
            maxsize = self.configuration.maxsize
            self._spaces[limited] = Space(self.facts.sizes, maxsize, key, holders)
        return self._spaces[limited]


class Evidence:
    """One question while it is answered. Every fact is asked for once, when needed.

    A balanced term that was true sets ``balanced``. ``trace`` gets the values of all
    terms by the name of what was evaluated ("" for the expression itself), None if
    nobody wants to know.
    """

    def __init__(
        self,
        question: Question,
        expansions: Expansions,
        known: Known,
        trace: dict[str, list[bool | None]] | None = None,
    ) -> None:
        self.question, self.expansions, self.trace = question, expansions, trace
        self.uuid, self.configuration = question.uuid, question.configuration
        self.facts, self.key = question.facts, question.facts.key
        self.known = known
        self.locations, self.numcopies = known.locations, known.numcopies
        self.balanced = False
        self.inside = ""
        self._expanded: dict[str, bool] = {}
        self._copies: frozenset[UUID] | None = None
        self._reliable: frozenset[UUID] | None = None
        self._counts: dict[Selector, int] = {}
        self._within: dict[tuple[frozenset[UUID], Groups], int] = {}
        self._bounds: dict[tuple[frozenset[UUID], bool], list[int]] = {}
        self._present: bool | None = None

    def run(self, program: Program) -> bool:
        """The program's result, with its trace if that is kept."""
        if self.trace is not None:
            return self._traced(program, self.trace)
        jumps, _, _ = program
        self.known.spend(JUMP * len(jumps))
        at = program.entry
        while at >= 0:
            test, yes, no = jumps[at]
            at = yes if test(self) else no
        return at == -1

    def _traced(self, program: Program, trace: dict[str, list[bool | None]]) -> bool:
        values: list[bool | None] = [None] * len(program.jumps)
        trace[self.inside] = values
        at = program.entry
        while at >= 0:
            test, yes, no = program.jumps[at]
            values[at] = value = test(self)
            at = yes if value else no
        return at == -1

    def expanded(self, name: str) -> bool:
        """What ``standard`` or ``groupwanted`` stands for; evaluated once (spec 04 §4)."""
        what = self.expansions.of(name)
        if what is None or self.inside == name:
            return self.present()
        found = self._expanded.get(name)
        if found is None:
            outside, self.inside = self.inside, name
            found = self._expanded[name] = self.run(what.program)
            self.inside = outside
        return found

    def worth(self, work: Callable[[str], int], text: str) -> bool:
        """True, once the work that there is with ``text`` is paid for."""
        self.known.spend(work(text))
        return True

    def copies(self) -> frozenset[UUID]:
        """Locations that are repositories, without those that are assumed away."""
        if self._copies is None:
            absent, locations = self.question.absent, self.locations()
            self.known.spend(MEMBER * len(locations))
            self._copies = frozenset(
                uuid
                for uuid in locations
                if uuid not in absent and not is_cluster_uuid(uuid)
            )
        return self._copies

    def reliable(self) -> frozenset[UUID]:
        """The copies without those in untrusted repositories."""
        if self._reliable is None:
            trusted = self.configuration.trusted
            self._reliable = frozenset(
                u for u in self.copies() if trusted(u) is not Trust.UNTRUSTED
            )
        return self._reliable

    def count(self, selector: Selector) -> int:
        """How many copies ``selector`` has."""
        found = self._counts.get(selector)
        if found is None:
            found = self._counts[selector] = self._counted(selector)
        return found

    def _counted(self, selector: Selector) -> int:
        copies, levels = self.copies(), selector.levels
        if selector.group is not None:
            return self.within(copies, Groups((selector.group,)))
        if levels is None:
            return len(copies)
        trusted = self.configuration.trusted
        return sum(1 for uuid in copies if trusted(uuid) in levels)

    def outside(self, group: str) -> int:
        """How many copies are not in the group, without the untrusted (spec 04 §7.1)."""
        return len(self.reliable()) - self.within(self.reliable(), Groups((group,)))

    def within(self, copies: frozenset[UUID], chosen: Groups) -> int:
        """How many of the copies are in the groups."""
        found = self._within.get((copies, chosen))
        if found is None:
            added = [self.members(group) for group in chosen.added]
            removed = [self.members(group) for group in chosen.removed]
            self.known.spend(MEMBER * sum(map(len, (copies, *added, *removed))))
            some = copies & frozenset[UUID]().union(*added) if added else copies
            found = self._within[copies, chosen] = len(some.difference(*removed))
        return found

    def members(self, group: str) -> frozenset[UUID]:
        """Those that are in the group; none of an unknown one."""
        return self.configuration.members.get(group, _NOBODY)

    def present(self) -> bool:
        """Whether the repository has the content (spec 04 §3.3)."""
        if self._present is None:
            self._present = self.key is not None and (
                self.facts.holds()
                if self.facts.here() == self.uuid
                else self.uuid in self.locations()
            )
        return self._present

    def chosen(
        self, key: Key, members: frozenset[UUID], count: int, by_size: bool
    ) -> bool:
        """Whether the repository is among the ``count`` of ``members`` (spec 04 §7).

        Who is chosen for a number is chosen for every larger one. So what an expression
        with a thousand numbers costs is bounded: the least number is looked for.
        """
        if self.configuration.rebalance:
            return self.uuid in self.known.picks(key, members, count, by_size)
        count = min(count, len(members))
        bounds = self._bounds.setdefault((members, by_size), [0, len(members) + 1, 0])
        if count >= bounds[1] or count <= bounds[0]:
            return count >= bounds[1]
        while bounds[0] < count < bounds[1]:
            bounds[2] += 1
            first = bounds[2] == 1
            tried = count if first else (bounds[0] + bounds[1]) // 2
            found = self.uuid in self.known.picks(key, members, tried, by_size)
            bounds[found] = tried
        return count >= bounds[1]
