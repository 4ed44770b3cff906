"""What is wrong, or looks wrong, with what repositories are configured to want.

git-annex takes nearly everything: what it cannot parse counts as ``present``, what is
unstable as nothing, and a group that nobody is in is a group. All that is found out here
from the logs alone, before a key lands in the wrong place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import attrs

from annexshell.admin.gateway import Gateway
from annexshell.admin.linting import Named, named_groups, oddities
from annexshell.admin.preferences import Log, carets, configuration, parsed
from annexshell.admin.repositories import Names
from annexshell.errors import printable
from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID
from annexshell.wanted.facts import Configuration
from annexshell.wanted.preferences import Preferences
from annexshell.wanted.standard import STANDARD

_SHOWN = 5


@attrs.frozen
class Finding:
    """One fault; everything is fit to be printed.

    ``kind`` stays the same in later versions. What is not ``wrong`` may be meant so.
    ``where`` is a command without the expression, as in ``wanted n1``. ``shown`` are lines
    that point at it.
    """

    kind: str
    where: str
    message: str
    wrong: bool = True
    uuid: UUID | None = None
    shown: str = ""

    def as_json(self) -> dict[str, object]:
        """For a program to read."""
        return {
            "kind": self.kind,
            "where": self.where,
            "uuid": None if self.uuid is None else printable(self.uuid),
            "wrong": self.wrong,
            "message": self.message,
        }


def check(gateway: Gateway, repositories: Sequence[str] = ()) -> list[Finding]:
    """All faults, or those that concern these repositories; dead ones are left out.

    Raises as `Names` does.
    """
    names = Names.of(gateway)
    asked = {names.uuid(name) for name in repositories}
    return list(_Checker(names, configuration(gateway)).findings(asked))


@attrs.frozen
class _Checker:
    """The rules, each a method that yields what it finds."""

    names: Names
    known: Configuration
    preferences: Preferences = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: Preferences(self.known), takes_self=True),
    )

    def findings(self, asked: Collection[UUID]) -> Iterator[Finding]:
        logs = {Log.WANTED: self.known.preferred, Log.REQUIRED: self.known.required}
        for log, texts in logs.items():
            for uuid in sorted(texts):
                if self._is_asked(uuid, asked) and texts[uuid]:
                    where = f"{log.value} {self.names.short(uuid)}"
                    yield from self._text(where, texts[uuid], uuid)
                    yield from self._whole(where, log, uuid)
        for group, text in sorted(self.known.group_preferred.items()):
            members = self.known.members.get(group, frozenset())
            if text and (not asked or members.intersection(asked)):
                yield from self._of_group(group, text, members)
        for uuid in sorted(self.known.maxsize):
            if self._is_asked(uuid, asked):
                yield from self._limit(uuid)
        yield from self._silent(asked)

    def _is_asked(self, uuid: UUID, asked: Collection[UUID]) -> bool:
        if self.known.trusted(uuid) is Trust.DEAD:
            return False
        return not asked or uuid in asked

    def _of_group(
        self, group: str, text: str, members: frozenset[UUID]
    ) -> Iterator[Finding]:
        where = f"groupwanted {spelled(group)}"
        yield from self._text(where, text, None)
        if not members:
            message = "nobody is in the group, so nobody uses it"
            yield Finding("group-without-members", where, message, wrong=False)

    def _text(self, where: str, text: str, uuid: UUID | None) -> Iterator[Finding]:
        """What can be said of one expression by itself, and the groups it names."""
        read = parsed(text)
        if read.problems:
            yield Finding(
                "not-parsed",
                where,
                f"{_listed([p.message for p in read.problems])}: the whole expression"
                " counts as present",
                uuid=uuid,
                shown=carets(text, read.problems),
            )
            return
        for kind, message in oddities(text):
            yield Finding(kind, where, message, wrong=False, uuid=uuid)
        terms = sorted(read.expression.terms, key=lambda term: term.text)
        for named in named_groups(term.text for term in terms):
            yield from self._group(where, named, uuid)

    def _group(self, where: str, named: Named, uuid: UUID | None) -> Iterator[Finding]:
        """A group that a term names."""
        term, members = spelled(named.term), self.known.members.get(named.group)
        if not members:
            effect = named.effect_if_empty
            message = f"{term}: nobody is in the group {spelled(named.group)}; {effect}"
            yield Finding(
                "group-without-members", where, message, wrong=named.balanced, uuid=uuid
            )
            return
        if not named.balanced:
            return
        if uuid is not None and uuid not in members:
            message = (
                f"{term}: the repository itself is not in the group"
                f" {spelled(named.group)}, and only members are chosen"
            )
            yield Finding("not-a-member", where, message, uuid=uuid)
        if named.by_size:
            yield from self._without_limit(where, term, members, uuid)

    def _without_limit(
        self, where: str, term: str, members: frozenset[UUID], uuid: UUID | None
    ) -> Iterator[Finding]:
        without = sorted(members - self.known.maxsize.keys())
        if without:
            who = _listed([self.names.short(member) for member in without])
            message = f"{term}: never chosen, as there is no maxsize for: {who}"
            yield Finding("member-without-maxsize", where, message, uuid=uuid)

    def _whole(self, where: str, log: Log, uuid: UUID) -> Iterator[Finding]:
        """What depends on the groups that the repository is in."""
        of = self.preferences
        found = of.preferred(uuid) if log is Log.WANTED else of.required(uuid)
        text = self.known.preferred if log is Log.WANTED else self.known.required
        read = parsed(text[uuid])
        if found is None or read.problems:
            return
        for sentence in found.explain_instability():
            yield Finding("unstable", where, printable(sentence), uuid=uuid)
        groups = self.known.groups.get(uuid, frozenset())
        if read.expression.expands("standard"):
            yield from _ambiguous(where, "standard", groups & STANDARD.keys(), uuid)
        if read.expression.expands("groupwanted"):
            texts = self.known.group_preferred
            having = frozenset(group for group in groups if texts.get(group))
            yield from _ambiguous(where, "groupwanted", having, uuid)

    def _limit(self, uuid: UUID) -> Iterator[Finding]:
        limit, groups = self.known.maxsize[uuid], self.known.groups.get(uuid, ())
        if limit > 0:
            return
        balanced = not self._balanced.isdisjoint(groups)
        message = (
            f"{limit} does not mean that there is no limit: balanced expressions take the"
            " repository for full"
        )
        where = f"maxsize {self.names.short(uuid)}"
        yield Finding("maxsize-not-positive", where, message, wrong=balanced, uuid=uuid)

    def _silent(self, asked: Collection[UUID]) -> Iterator[Finding]:
        """Members of groups that matter, which is not enough to want less than all."""
        known, balanced = self.known, self._balanced
        for group, members in sorted(known.members.items()):
            remedy = _remedy(group, known, balanced)
            silent = [u for u in sorted(members) if self._is_asked(u, asked)]
            silent = [u for u in silent if not self._says(u)]
            if remedy and silent:
                who = _listed([self.names.short(uuid) for uuid in silent])
                message = (
                    f"its members want everything while nothing is set: {who}; {remedy}"
                )
                where = f"group {spelled(group)}"
                yield Finding("no-expression", where, message, wrong=False)

    def _says(self, uuid: UUID) -> bool:
        texts = (self.known.preferred.get(uuid), self.known.required.get(uuid))
        return any(text and text.strip() for text in texts)

    @property
    def _balanced(self) -> frozenset[str]:
        """The groups that content is balanced in."""
        known = self.known
        texts = {*known.preferred.values(), *known.required.values()}
        texts |= {*known.group_preferred.values()}
        terms = (term.text for text in texts for term in parsed(text).expression.terms)
        return frozenset(n.group for n in named_groups(terms) if n.balanced)


_NEEDS = {
    "standard": "the repository must be in exactly one standard group",
    "groupwanted": "exactly one of the repository's groups must have a groupwanted"
    " expression",
}


def _remedy(group: str, known: Configuration, balanced: Collection[str]) -> str:
    """What to set for a member; empty where the group has no meaning of its own."""
    if known.group_preferred.get(group):
        return (
            "annexshell-admin wanted REPO groupwanted has them want what the group does"
        )
    if group in STANDARD:
        return (
            "annexshell-admin wanted REPO standard has them want what such a group does"
        )
    return "content is balanced in it" if group in balanced else ""


def _ambiguous(
    where: str, term: str, groups: frozenset[str], uuid: UUID
) -> Iterator[Finding]:
    if len(groups) == 1:
        return
    which = _listed([spelled(group) for group in sorted(groups)]) or "none"
    message = f"{term} counts as present: {_NEEDS[term]}; found: {which}"
    yield Finding(f"{term}-not-clear", where, message, uuid=uuid)


def spelled(text: str) -> str:
    """Text of a log, fit to be printed."""
    return printable(text.encode("utf-8", "surrogateescape"))


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join(map(spelled, words[:_SHOWN])) + (
        f" and {more} more" if more > 0 else ""
    )
