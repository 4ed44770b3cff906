"""The terms that spread content over a group: ``balanced=`` and its family (spec 04 §7).

``fully`` terms pick by `annexshell.wanted.balanced` alone. The others want what is
present, and are content with copies wherever in the group they are.
"""

from __future__ import annotations

import attrs

from annexshell.wanted.evidence import Evidence, Selector, selector
from annexshell.wanted.expression import BadTerm, Instability, Term
from annexshell.wanted.quantities import parse_number

FAMILY = frozenset(("balanced", "sizebalanced", "fullybalanced", "fullysizebalanced"))
_LACKING = "lackingcopies"
_NAMED = 8
"""So many are named to a person."""


def term(name: str, value: str, word: str) -> Term | BadTerm:
    """``NAME=GROUP``, ``NAME=GROUP:NUMBER`` or ``NAME=GROUP:lackingcopies``."""
    group, *rest = value.split(":")
    if len(rest) > 1:
        return BadTerm(f"bad value for {name}")
    number: int | None = 1
    if rest:
        number = None if rest[0] == _LACKING else parse_number(rest[0])
        if number is None and rest[0] != _LACKING:
            return BadTerm(f"bad number for {name}")
    fully = name.startswith("fully")
    choice = _Choice(group, number, "size" in name)
    kept = None if fully else _Kept(choice, selector(group))
    return Term(
        name,
        word,
        choice.test if kept is None else kept.test,
        choice.why if kept is None else kept.why,
        Instability.NONE if fully else Instability.SELF,
        uses_sizes=True,
    )


@attrs.frozen
class _Choice:
    """``fully…``: ``number`` of the group's members, None for as many as are lacking."""

    group: str
    number: int | None
    by_size: bool

    def test(self, evidence: Evidence) -> bool:
        key, members = evidence.key, evidence.members(self.group)
        if key is None or evidence.uuid not in members:
            return False
        count = self._count(evidence)
        if count < 1 or not evidence.chosen(key, members, count, self.by_size):
            return False
        evidence.balanced = True
        return True

    def _count(self, evidence: Evidence) -> int:
        if self.number is not None:
            return self.number
        return evidence.numcopies() - evidence.outside(self.group)

    def why(self, evidence: Evidence) -> str:
        key, members = evidence.key, evidence.members(self.group)
        if key is None:
            return "no key known"
        if evidence.uuid not in members:
            return "not in the group"
        count = self._count(evidence)
        if count < 1:
            return "none are to be picked"
        picked = sorted(evidence.known.picks(key, members, count, self.by_size))
        names = ", ".join(
            u.decode("utf-8", "backslashreplace") for u in picked[:_NAMED]
        )
        more = ", ..." if len(picked) > _NAMED else ""
        return f"picked {names or 'nobody'}{more} of {len(members)}"


@attrs.frozen
class _Kept:
    """Without ``fully``: what is present stays, and enough copies are enough (§7.4)."""

    choice: _Choice
    among: Selector

    def test(self, evidence: Evidence) -> bool:
        if evidence.configuration.rebalance:
            return self.choice.test(evidence)
        if evidence.present():
            evidence.balanced = True
            return True
        return not self._enough(evidence) and self.choice.test(evidence)

    def _enough(self, evidence: Evidence) -> bool:
        number = self.choice.number
        if number is None:
            return evidence.numcopies() - len(evidence.reliable()) < 1
        return evidence.count(self.among) >= number

    def why(self, evidence: Evidence) -> str:
        if evidence.configuration.rebalance:
            return self.choice.why(evidence)
        if evidence.present():
            return "it is present"
        if evidence.key is not None and self._enough(evidence):
            return "there are enough copies"
        return self.choice.why(evidence)
