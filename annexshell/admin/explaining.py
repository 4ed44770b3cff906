"""Why repositories want a key or not, as a cluster asks when it is uploaded (spec 04 §2)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property

import attrs

from annexshell.admin.checking import spelled
from annexshell.admin.gateway import Gateway
from annexshell.admin.preferences import carets, parsed
from annexshell.admin.repositories import Names
from annexshell.admin.topology import Standing, topology
from annexshell.admin.usage import current_sizes
from annexshell.errors import printable
from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.placement.configuration import Settings
from annexshell.placement.facts import BranchFacts, associated_file
from annexshell.wanted.evaluate import explain
from annexshell.wanted.explanation import Explanation, Node
from annexshell.wanted.facts import Configuration, Question
from annexshell.wanted.parse import Problem
from annexshell.wanted.preferences import Preferences
from annexshell.wanted.standard import STANDARD

_MOST_PROBLEMS = 100


@attrs.frozen
class Source:
    """A configured text that counts for a repository.

    ``kind`` is the command that sets it, or ``standard``, and ``group`` whose it is. Of
    the problems there are the first hundred.
    """

    kind: str
    text: str
    group: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """Fit to be printed."""
        return f"{self.kind} {spelled(self.group)}" if self.group else self.kind

    @property
    def shown(self) -> str:
        """Where the problems are, fit to be printed."""
        return carets(self.text, self.problems)


@attrs.frozen
class Verdict:
    """What one repository wants. ``name`` is fit to be printed.

    ``listed`` is whether the location log has it as a holder. ``size`` and ``maxsize`` are
    in bytes, None if not asked for or not set.
    """

    uuid: UUID
    name: str
    listed: bool
    explanation: Explanation
    sources: tuple[Source, ...] = ()
    size: int | None = None
    maxsize: int | None = None

    @property
    def room(self) -> int | None:
        """Bytes below maxsize; negative above it."""
        if self.maxsize is None or self.size is None:
            return None
        return self.maxsize - self.size

    @property
    def by(self) -> str:
        """Which expression made the result, ``default`` if there is none."""
        if not self.sources:
            return "default"
        if any(source.problems for source in self.sources):
            return "present"
        if self.explanation.unstable or not self.explanation.decided:
            return self.sources[0].kind
        inner = self.explanation.decided[-2::-1]
        for term in inner:
            found = [s.name for s in self.sources if s.kind == term]
            if found:
                return found[0]
        return self._outer

    @property
    def _outer(self) -> str:
        """Preferred or required content, where there are both."""
        kinds = [s.kind for s in self.sources if s.kind in ("wanted", "required")]
        root = self.explanation.root
        if len(kinds) < 2 or root is None:
            return kinds[0]
        return kinds[1] if _has_decided(root.children[-1]) else kinds[0]

    def as_json(self) -> dict[str, object]:
        """For a program to read."""
        return {
            "name": self.name,
            "uuid": printable(self.uuid),
            "listed": self.listed,
            "by": self.by,
            "expressions": [
                {
                    "kind": source.kind,
                    "group": spelled(source.group) or None,
                    "text": spelled(source.text),
                    "problems": [
                        {"offset": p.offset, "length": p.length, "message": p.message}
                        for p in source.problems
                    ],
                }
                for source in self.sources
            ],
            "size": self.size,
            "maxsize": self.maxsize,
            "room": self.room,
            "explanation": self.explanation.as_json(),
        }


def _has_decided(node: Node) -> bool:
    return any(one.decided for _, one in Explanation(True, root=node).walk())


def explain_key(
    gateway: Gateway,
    key: str,
    file: str | None,
    nodes: Sequence[str] = (),
    *,
    rebalance: bool = False,
) -> list[Verdict]:
    """What each of ``nodes`` makes of the key.

    Without any, those of the clusters that are configured here, or, if there are none,
    everybody with an expression. ``file`` is relative to the top of the repository.
    ``rebalance`` asks as git-annex's option of that name does (spec 04 §7.4).
    Raises MalformedKey, what `Names` does, and what reading the branch does.
    """
    about = Key.parse(os.fsencode(key))
    names = Names.of(gateway)
    asked = [names.uuid(name) for name in nodes]
    configuration, preferences = Settings(gateway.repository, gateway.branch).current()
    if rebalance:
        configuration = attrs.evolve(configuration, rebalance=True)
        preferences = Preferences(configuration)
    explainer = _Explainer(gateway, names, preferences, about, file)
    found = asked or _nodes(gateway) or _configured(configuration)
    return [explainer.verdict(uuid) for uuid in dict.fromkeys(found)]


def _nodes(gateway: Gateway) -> list[UUID]:
    members = [m for c in topology(gateway) for m in c.members]
    return [m.uuid for m in members if m.standing is Standing.NODE]


def _configured(known: Configuration) -> list[UUID]:
    texts = {**known.required, **known.preferred}
    living = (u for u in sorted(texts) if known.trusted(u) is not Trust.DEAD)
    return [u for u in living if known.preferred.get(u) or known.required.get(u)]


@attrs.frozen(slots=False)
class _Explainer:
    gateway: Gateway
    names: Names
    preferences: Preferences
    key: Key
    file: str | None

    @cached_property
    def facts(self) -> BranchFacts:
        repository = self.gateway.repository
        named = os.fsencode(self.file or "")
        return BranchFacts(
            repository,
            self.gateway.branch,
            self.preferences.configuration,
            self.key,
            associated_file(named, repository.path),
            lambda: self.sizes,
        )

    @cached_property
    def sizes(self) -> Mapping[UUID, int]:
        return current_sizes(self.gateway)

    def verdict(self, uuid: UUID) -> Verdict:
        known = self.preferences.configuration
        question = Question(uuid, self.facts, known, default=True)
        explanation = explain(self.preferences.preferred(uuid), question)
        for _, node in explanation.walk():
            node.why = self.names.in_text(node.why)
        limit = known.maxsize.get(uuid)
        return Verdict(
            uuid,
            self.names.short(uuid),
            uuid in self.facts.holders(),
            explanation,
            tuple(_sources(known, uuid)),
            None if limit is None else self.sizes.get(uuid, 0),
            limit,
        )


def _sources(known: Configuration, uuid: UUID) -> list[Source]:
    """What counts for the repository, and what its terms stand for."""
    found: list[Source] = []
    texts = {"wanted": known.preferred, "required": known.required}
    for kind, by_uuid in texts.items():
        found += _source(kind, by_uuid.get(uuid, ""))
    groups = known.groups.get(uuid, frozenset())
    having = [group for group in groups if known.group_preferred.get(group)]
    if len(having) == 1 and _expand(found, "groupwanted"):
        found += _source("groupwanted", known.group_preferred[having[0]], having[0])
    standard = groups & STANDARD.keys()
    if len(standard) == 1 and _expand(found, "standard"):
        [group] = standard
        found += _source("standard", STANDARD[group], group)
    return found


def _source(kind: str, text: str, group: str = "") -> list[Source]:
    read = parsed(text)
    if read.says_nothing:
        return []
    return [Source(kind, text, group, read.problems[:_MOST_PROBLEMS])]


def _expand(sources: Sequence[Source], term: str) -> bool:
    return any(parsed(source.text).expression.expands(term) for source in sources)
