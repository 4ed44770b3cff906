"""Facts of one key that are given, and remember which of them were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.wanted.evaluate import Answer, evaluate
from annexshell.wanted.facts import Configuration, Question
from annexshell.wanted.preferences import Preferences

KEY = Key.parse(b"SHA256E-s100--" + b"a" * 64 + b".x")
ME = UUID(b"0a11cc2e-0000-4000-8000-000000000001")


@attrs.define
class GivenFacts:
    """As `annexshell.wanted.facts.Facts`; ``asked`` has the names in order."""

    key: Key | None = KEY
    file: str | None = "foo"
    held_by: Iterable[UUID] = ()
    repository: UUID | None = None
    held_here: bool = False
    fields: Mapping[str, frozenset[str]] = {}
    recorded_urls: frozenset[str] = frozenset()
    same_as: frozenset[Key] = frozenset()
    attribute: int | None = None
    is_unused: bool = False
    repo_sizes: Mapping[UUID, int] = {}
    asked: list[str] = attrs.field(factory=list)

    def holders(self) -> frozenset[UUID]:
        self.asked.append("holders")
        return frozenset(self.held_by)

    def here(self) -> UUID | None:
        return self.repository

    def holds(self) -> bool:
        self.asked.append("holds")
        return self.held_here

    def metadata(self) -> Mapping[str, frozenset[str]]:
        self.asked.append("metadata")
        return self.fields

    def urls(self) -> frozenset[str]:
        self.asked.append("urls")
        return self.recorded_urls

    def equivalents(self) -> frozenset[Key]:
        self.asked.append("equivalents")
        return self.same_as

    def numcopies(self) -> int | None:
        self.asked.append("numcopies")
        return self.attribute

    def unused(self) -> bool:
        self.asked.append("unused")
        return self.is_unused

    def sizes(self) -> Mapping[UUID, int]:
        self.asked.append("sizes")
        return self.repo_sizes


def answer(
    configuration: Configuration,
    facts: GivenFacts,
    uuid: UUID = ME,
    *,
    default: bool = False,
    absent: Iterable[UUID] = (),
) -> Answer:
    """Whether the repository prefers what ``facts`` are of."""
    question = Question(uuid, facts, configuration, default, frozenset(absent))
    return evaluate(Preferences(configuration).preferred(uuid), question)


def wants(text: str, facts: GivenFacts | None = None, uuid: UUID = ME) -> bool:
    """Whether the repository that prefers ``text`` wants it; nothing else is configured."""
    configuration = Configuration(preferred={uuid: text})
    return answer(configuration, facts or GivenFacts(), uuid).wanted
