"""Who wants a key, and who could do without it (spec 04 §2)."""

from __future__ import annotations

import attrs

from annexshell.model.ids import UUID
from annexshell.wanted.evaluate import Answer, evaluate
from annexshell.wanted.evidence import Known
from annexshell.wanted.facts import Configuration, Facts, Question
from annexshell.wanted.preferences import Preferences


@attrs.frozen
class Judge:
    """Answers by one state of the configuration. Raises what the facts raise.

    ``default`` is the answer of a repository that has no preferred content: true where
    content is sent by a cluster, ``sync`` or the assistant, false for all ``--auto`` and
    ``--want`` options. What is in ``absent`` is assumed not to have the content. ``known``
    is for who asks of several repositories: see `Known`.
    """

    configuration: Configuration
    preferences: Preferences

    def answer(
        self,
        uuid: UUID,
        facts: Facts,
        *,
        default: bool,
        absent: frozenset[UUID] = frozenset(),
        known: Known | None = None,
    ) -> Answer:
        """Whether the repository wants the key, and by which kind of term.

        ``known`` is shared by all questions about these facts. Raises TooMuchWork.
        """
        question = Question(uuid, facts, self.configuration, default, absent)
        return evaluate(self.preferences.preferred(uuid), question, known)

    def wants(
        self,
        uuid: UUID,
        facts: Facts,
        *,
        default: bool,
        absent: frozenset[UUID] = frozenset(),
        known: Known | None = None,
    ) -> bool:
        """Whether the repository wants to have, or to keep, the key."""
        answer = self.answer(uuid, facts, default=default, absent=absent, known=known)
        return answer.wanted

    def wants_to_drop(self, uuid: UUID, facts: Facts, *, default: bool = False) -> bool:
        """Whether the repository could do without its copy, by this file of the key.

        ``default`` is, as in `wants`, whether it wants the key where nothing is configured.
        Of a key with several files none may be wanted.
        """
        return not self.wants(uuid, facts, default=default, absent=frozenset((uuid,)))
