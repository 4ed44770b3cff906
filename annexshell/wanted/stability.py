"""Expressions that undo what they ask for (spec 04 §5).

A repository that wants what it does not have stops wanting it as soon as it has it. So an
expression with such a term below a ``not`` matches nothing. git-annex looks at the text
alone, and in what ``standard`` and ``groupwanted`` stand for at no ``not`` at all; we
follow it, since clients and gateways have to agree.
"""

from __future__ import annotations

from collections.abc import Iterator

from annexshell.wanted.evidence import Expansions
from annexshell.wanted.expression import Expression, Instability, Step, Term
from annexshell.wanted.parse import present


def unstable_terms(expression: Expression, expansions: Expansions) -> tuple[str, ...]:
    """The terms that make it useless, the last of the text first, each once."""
    found = (step.what for step, _, _ in _unstable(expression, expansions))
    return tuple(dict.fromkeys(t.text for t in found if isinstance(t, Term)))


def explain_instability(
    expression: Expression, expansions: Expansions
) -> tuple[str, ...]:
    """A sentence for each such term: which, under which ``not``, and why that matters."""
    return tuple(_sentence(*found) for found in _unstable(expression, expansions))


def _unstable(
    expression: Expression, expansions: Expansions
) -> Iterator[tuple[Step, Step, str]]:
    """Each such term, the nearest ``not``, and what in the term is unstable."""
    causes: dict[Term, str] = {}
    for step, depth, nearest in expression.negated():
        term = step.what
        if depth % 2 and nearest is not None and isinstance(term, Term):
            if term not in causes:
                causes[term] = _cause(term, expansions)
            if causes[term]:
                yield step, nearest, causes[term]


def _cause(term: Term, expansions: Expansions) -> str:
    """The text of what is unstable about a term; empty if nothing is."""
    if term.instability is Instability.SELF:
        return term.text
    if term.instability is Instability.NONE:
        return ""
    inner = expansions.of(term.name) or present()
    return next(filter(None, (_inner(t, expansions) for t in inner.terms)), "")


def _inner(term: Term, expansions: Expansions) -> str:
    """As `_cause`, in a groupwanted expression, where ``groupwanted`` is ``present``."""
    if term.name == "groupwanted":
        return "present"
    return _cause(term, expansions)


_WHY = {
    "present": "the content would be wanted only where it is not, and not kept there",
}
_BALANCED = "content would be wanted where it is not chosen to be, and move about"


def _sentence(step: Step, nearest: Step, cause: str) -> str:
    assert isinstance(step.what, Term)
    term = step.what.text
    through = "" if cause == term else f", which stands for {cause},"
    why = _WHY.get(cause, _BALANCED)
    return (
        f"{term}{through} at character {step.offset + 1} is negated by the not at"
        f" character {nearest.offset + 1}: {why}; so the expression matches nothing"
    )
