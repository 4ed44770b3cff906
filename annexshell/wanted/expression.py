"""Parsed expressions: a flat list of steps, and the program that is run (spec 04 §3.2).

Nothing here recurses: who writes an expression may nest it as deep as it is long. The
steps of an `Expression` stand in postfix order, operands before their operator. Its
`Program` has the terms alone, each with where to go on when it is true, and when not; so
what is not needed is not evaluated, and an operator costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import attrs

if TYPE_CHECKING:
    from annexshell.wanted.evidence import Evidence


class Operator(Enum):
    """What joins terms; the value is how it is written."""

    NOT = "not"
    AND = "and"
    OR = "or"
    ALSO = "required"
    """Between the preferred and the required content of one repository: an ``or``."""
    ANYTHING = "()"
    """Where nothing is written; it is true."""


class Instability(Enum):
    """Whether a term makes expressions that negate it useless (spec 04 §5)."""

    NONE = "stable"
    SELF = "by itself"
    EXPANDED = "if what it stands for is"


@attrs.frozen(eq=False)
class Term:
    """One term. ``text`` is as written, ``name`` what is before the ``=``.

    ``why`` says for a person what the value comes from; it may cost as much as ``test``.
    ``uses_sizes`` is set for those that choose by the sizes of repositories.
    """

    name: str
    text: str
    test: Callable[[Evidence], bool]
    why: Callable[[Evidence], str] | None = None
    instability: Instability = Instability.NONE
    uses_sizes: bool = False
    expands: bool = False
    """Whether it stands for an expression: ``standard``, ``groupwanted``."""


class BadTerm(NamedTuple):
    """What is wrong with a word; git-annex's own words where it has any (spec 04 §3.9)."""

    message: str


class Step(NamedTuple):
    """A term or an operator, and where in the text it stands, in characters."""

    what: Term | Operator
    offset: int
    length: int


TRUE, FALSE = -1, -2
"""Where a `Program` ends."""


class Jump(NamedTuple):
    """One term of a program, and which jump is next, or TRUE or FALSE."""

    test: Callable[[Evidence], bool]
    yes: int
    no: int


class Program(NamedTuple):
    """Jumps, the last one of the text first, and which one to begin with.

    ``steps`` says which step of the expression each jump is.
    """

    jumps: tuple[Jump, ...]
    entry: int
    steps: tuple[int, ...]


@attrs.frozen(slots=False, eq=False)
class Expression:
    """The steps in postfix order. ``text`` is what they were parsed from."""

    text: str
    steps: tuple[Step, ...]
    default: bool = False
    """Whether it says nothing at all, so that the caller's default counts."""

    @cached_property
    def program(self) -> Program:
        """What is run."""
        return _program(self.steps)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Each term once, in order."""
        found = (step.what for step in self.steps)
        return tuple(dict.fromkeys(what for what in found if isinstance(what, Term)))

    @cached_property
    def uses_sizes(self) -> bool:
        """Whether a term chooses by sizes; what terms stand for is not looked at."""
        return any(term.uses_sizes for term in self.terms)

    def expands(self, name: str) -> bool:
        """Whether ``standard`` or ``groupwanted`` occurs in it."""
        return any(term.expands and term.name == name for term in self.terms)

    def negated(self) -> Iterator[tuple[Step, int, Step | None]]:
        """Every term, the last of the text first; under how many ``not``, and the nearest."""
        depths: list[tuple[int, Step | None]] = [(0, None)]
        for step in reversed(self.steps):
            depth, nearest = depths.pop()
            if isinstance(step.what, Term):
                yield step, depth, nearest
            elif step.what is Operator.NOT:
                depths.append((depth + 1, step))
            elif step.what is not Operator.ANYTHING:
                depths += ((depth, nearest), (depth, nearest))


_NEXT = -3


def _program(steps: tuple[Step, ...]) -> Program:
    """Read backwards, an operator comes before its operands, the right one first.

    So when the left operand is looked at, ``entry`` is where the right one begins; _NEXT
    stands for it until then.
    """
    jumps: list[Jump] = []
    found: list[int] = []
    entry = TRUE
    targets = [(TRUE, FALSE)]
    for number in range(len(steps) - 1, -1, -1):
        what = steps[number].what
        yes, no = targets.pop()
        yes, no = (entry if yes == _NEXT else yes), (entry if no == _NEXT else no)
        if isinstance(what, Term):
            jumps.append(Jump(what.test, yes, no))
            found.append(number)
            entry = len(jumps) - 1
        elif what is Operator.ANYTHING:
            entry = yes
        elif what is Operator.NOT:
            targets.append((no, yes))
        elif what is Operator.AND:
            targets += ((_NEXT, no), (yes, no))
        else:
            targets += ((yes, _NEXT), (yes, no))
    return Program(tuple(jumps), entry, tuple(found))


def joined(left: Expression, right: Expression) -> Expression:
    """What one or the other has: preferred and required content (spec 04 §2)."""
    steps = (*left.steps, *right.steps, Step(Operator.ALSO, 0, 0))
    return Expression(f"({left.text}) or ({right.text})", steps)
