"""Each repository's preferred and required content, ready to be evaluated (spec 04 §2 to §5).

Whatever is configured gives something that can be evaluated: what cannot be understood
counts as ``present``, and what is unstable matches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from annexshell.model.ids import UUID
from annexshell.wanted.evidence import Expansions
from annexshell.wanted.expression import Expression, joined
from annexshell.wanted.facts import Configuration
from annexshell.wanted.parse import LONGEST, Parsed, Problem, parse, present
from annexshell.wanted.stability import explain_instability, unstable_terms
from annexshell.wanted.standard import STANDARD

_READING, _LOOKING = 150, 10
"""Units of work for each character that is parsed, and that was parsed already."""
_BALANCED = "balanced="
"""Within the names of all terms that choose by sizes."""


@attrs.frozen(eq=False)
class Compiled:
    """What one repository wants.

    ``text`` is what is configured, ``expression`` what counts. ``problems`` are those of
    everything that was used, the expressions of groups too. ``unstable`` has the terms
    for which the whole never matches. ``uses_sizes`` is whether sizes can matter.
    ``faulty`` is the first text with a problem.
    """

    text: str
    expression: Expression
    expansions: Expansions
    problems: tuple[Problem, ...] = ()
    unstable: tuple[str, ...] = ()
    uses_sizes: bool = False
    faulty: Parsed | None = None

    def caret(self) -> str:
        """Where the first problem is: its text, and a line that points at it; or empty."""
        found = self.faulty
        return found.problems[0].caret(found.text) if found is not None else ""

    def explain_instability(self) -> tuple[str, ...]:
        """Why it never matches: a sentence for each term in ``unstable``."""
        return explain_instability(self.expression, self.expansions)


class Preferences:
    """What all repositories want by one configuration; parsed when asked for, and kept."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._parsed: dict[str, Parsed] = {}
        self._joined: dict[tuple[str, str], Expression] = {}
        self._preferred: dict[UUID, Compiled | None] = {}
        self._required: dict[UUID, Compiled | None] = {}

    def preferred(self, uuid: UUID) -> Compiled | None:
        """What the repository wants, with what it has to have; None if nothing is said."""
        if uuid not in self._preferred:
            self._preferred[uuid] = self._both(uuid)
        return self._preferred[uuid]

    def work(self, uuid: UUID) -> int:
        """What `preferred` costs at most, in the units of `Effort`."""
        if uuid in self._preferred:
            return 0
        known = self.configuration
        texts = {known.preferred.get(uuid, ""), known.required.get(uuid, "")}
        texts |= {
            known.group_preferred.get(group, "")
            for group in known.groups.get(uuid, frozenset())
            & known.group_preferred.keys()
        }
        new = sum(len(t) for t in texts if t not in self._parsed and len(t) <= LONGEST)
        return _READING * new + _LOOKING * sum(map(len, texts))

    def may_use_sizes(self, uuids: Iterable[UUID]) -> bool:
        """Whether sizes can matter to any of them, by what the texts seem to say.

        Nothing is parsed for it: of a large cluster most nodes are never asked about.
        """
        known = self.configuration
        grouped = any(_BALANCED in text for text in known.group_preferred.values())
        words = (_BALANCED, "groupwanted") if grouped else (_BALANCED,)
        texts = (
            by_uuid.get(uuid, "")
            for uuid in uuids
            for by_uuid in (known.preferred, known.required)
        )
        return any(word in text for text in texts for word in words)

    def required(self, uuid: UUID) -> Compiled | None:
        """What the repository has to have; None if nothing is said."""
        if uuid not in self._required:
            parsed = self._parse(self.configuration.required.get(uuid, ""))
            self._required[uuid] = self._compiled(uuid, parsed)
        return self._required[uuid]

    def _both(self, uuid: UUID) -> Compiled | None:
        wanted = self._parse(self.configuration.preferred.get(uuid, ""))
        required = self._parse(self.configuration.required.get(uuid, ""))
        if required.says_nothing:
            return self._compiled(uuid, wanted)
        if wanted.says_nothing:
            return self._compiled(uuid, required)
        problems = wanted.problems + required.problems
        both = (wanted.text, required.text)
        if both not in self._joined:
            self._joined[both] = joined(wanted.expression, required.expression)
        expression = present() if problems else self._joined[both]
        text = f"({wanted.text}) or ({required.text})"
        parsed = Parsed(text, expression, problems)
        return self._compiled(uuid, parsed, (wanted, required))

    def _compiled(
        self, uuid: UUID, parsed: Parsed, parts: tuple[Parsed, ...] = ()
    ) -> Compiled | None:
        """``parts`` are the texts that ``parsed`` was made of, if not of its own."""
        if parsed.says_nothing:
            return None
        expansions, of_group = self._expansions(uuid, parsed.expression)
        used = (*(parts or (parsed,)), *of_group)
        problems = tuple(problem for each in used for problem in each.problems)
        expression = present() if problems else parsed.expression
        return Compiled(
            parsed.text,
            expression,
            expansions,
            problems,
            unstable_terms(expression, expansions),
            _uses_sizes(expression, expansions),
            next((each for each in used if each.problems), None),
        )

    def _expansions(
        self, uuid: UUID, expression: Expression
    ) -> tuple[Expansions, tuple[Parsed, ...]]:
        """What the expression needs of what its terms stand for, and the group's text."""
        standard = groupwanted = None
        of_group: tuple[Parsed, ...] = ()
        if expression.expands("groupwanted"):
            parsed = self._of_groups(uuid)
            if parsed is not None:
                groupwanted, of_group = parsed.expression, (parsed,)
        if any(
            e is not None and e.expands("standard") for e in (expression, groupwanted)
        ):
            standard = self._standard(uuid)
        return Expansions(standard, groupwanted), of_group

    def _of_groups(self, uuid: UUID) -> Parsed | None:
        texts = self.configuration.group_preferred
        groups = self.configuration.groups.get(uuid, frozenset())
        found = [texts[group] for group in groups if texts.get(group)]
        return self._parse(found[0]) if len(found) == 1 else None

    def _standard(self, uuid: UUID) -> Expression | None:
        groups = self.configuration.groups.get(uuid, frozenset()) & STANDARD.keys()
        if len(groups) != 1:
            return None
        return self._parse(STANDARD[next(iter(groups))]).expression

    def _parse(self, text: str) -> Parsed:
        found = self._parsed.get(text)
        if found is None:
            found = self._parsed[text] = parse(text)
        return found


def _uses_sizes(expression: Expression, expansions: Expansions) -> bool:
    """Whether a balanced term occurs, also in what terms stand for."""
    used = [expression]
    used += (e for e in expansions if e is not None)
    return any(e.uses_sizes for e in used)
