"""Text to `Expression` (spec 04 §3.1, §3.2, §3.9).

The grammar is a fold from left to right, and git-annex's to the letter: clients and
gateways have to agree. ``and``, ``or`` and standing side by side bind alike. A group has
an accumulator of its own, except one directly inside of another group that no keyword
comes before: that one goes on with the accumulator around it.
"""

from __future__ import annotations

import re
from functools import lru_cache

import attrs

from annexshell.model.numbers import SPACE
from annexshell.wanted.caret import caret
from annexshell.wanted.expression import BadTerm, Expression, Operator, Step, Term
from annexshell.wanted.terms import term

LONGEST = 128 << 10
"""Characters. As much as one argument of a command can have on Linux: longer expressions
come from nobody who typed one, or generated one for `git annex wanted`."""
TOKEN = re.compile(rf"[()]|[^(){SPACE}]+")
"""A word of an expression."""


@attrs.frozen
class Problem:
    """What is wrong with one word; ``offset`` and ``length`` are in characters.

    ``message`` has git-annex's words where git-annex has any.
    """

    offset: int
    length: int
    message: str

    def caret(self, text: str) -> str:
        """The line of ``text`` with the word, and a line that points at it."""
        return caret(text, self.offset, self.length)

    def __str__(self) -> str:
        return f"Parse failure: {self.message}"


@attrs.frozen(eq=False)
class Parsed:
    """What ``expression`` says is what counts: ``present`` if there are problems."""

    text: str
    expression: Expression
    problems: tuple[Problem, ...] = ()

    @property
    def says_nothing(self) -> bool:
        """Whether there are no terms, so that the caller's default counts (spec 04 §2)."""
        return self.expression.default


_AROUND = None
"""The group that goes on with the accumulator around it."""


class _Parser:
    """One fold. A hostile text may be a million brackets: little is made for each word.

    ``_pending`` are the operators that units complete, of the accumulator at work those
    from ``_base`` on. ``_awaited`` is whether a keyword waits for its unit.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.steps: list[Step] = []
        self._known: dict[str, Term | BadTerm] = {}
        self._pending: list[Step] = []
        self._base = 0
        self._started = False
        self._awaited = False
        self._groups: list[tuple[int, int] | None] = []

    def read(self, word: str, offset: int) -> None:
        """Take the next word."""
        if word == "(":
            self._open(offset)
        elif word == ")":
            if self._groups:
                self._close()
        elif word == "and":
            self._join(offset, 3)
        elif word == "or":
            if self._awaited or not self._started:
                self.steps.append(Step(Operator.ANYTHING, offset, 0))
            self._pending.append(Step(Operator.OR, offset, 2))
            self._started = self._awaited = True
        elif word == "not":
            self._join(offset, 0)
            self._pending.append(Step(Operator.NOT, offset, 3))
        else:
            self._term(word, offset)

    def finish(self) -> None:
        """Supply what is missing at the end."""
        while self._groups:
            self._close()
        self._fill()

    def _join(self, offset: int, length: int) -> None:
        """The next unit is wanted as well as the accumulator, if there is any."""
        if self._started and not self._awaited:
            self._pending.append(Step(Operator.AND, offset, length))
        self._awaited = True

    def _term(self, word: str, offset: int) -> None:
        found = self._known.get(word)
        if found is None:
            found = self._known[word] = term(word)
        if isinstance(found, BadTerm):
            self.problems.append(Problem(offset, len(word), found.message))
            return
        self._join(offset, 0)
        self.steps.append(Step(found, offset, len(word)))
        self._complete()

    def _open(self, offset: int) -> None:
        if self._groups and not self._awaited:
            self._groups.append(_AROUND)
            return
        self._join(offset, 0)
        self._groups.append((self._base, offset))
        self._base = len(self._pending)
        self._started = self._awaited = False

    def _close(self) -> None:
        self._fill()
        outer = self._groups.pop()
        if outer is _AROUND:
            return
        self._base, offset = outer
        if not self._started:
            self.steps.append(Step(Operator.ANYTHING, offset, 1))
        self._complete()

    def _fill(self) -> None:
        """What a keyword waits for in vain is true."""
        if self._awaited:
            offset = self._pending[-1].offset if self._pending else 0
            self.steps.append(Step(Operator.ANYTHING, offset, 0))
            self._complete()

    def _complete(self) -> None:
        """A unit is in ``steps``."""
        while len(self._pending) > self._base:
            self.steps.append(self._pending.pop())
        self._started, self._awaited = True, False


def parse(text: str, longest: int = LONGEST) -> Parsed:
    """What ``text`` says.

    Linear in its length. Never raises: what git-annex does not understand is a problem,
    and so is a glob that cannot be compiled, which stops git-annex (spec 04 §3.4), and
    what has more than ``longest`` characters: reading it takes seconds of each session.
    """
    if len(text) > longest:
        problem = Problem(longest, 1, f"longer than {longest} characters")
        return Parsed(text, present(), (problem,))
    parser = _Parser()
    for found in TOKEN.finditer(text):
        parser.read(found[0], found.start())
    parser.finish()
    if parser.problems:
        return Parsed(text, present(), tuple(parser.problems))
    steps = tuple(parser.steps)
    return Parsed(text, Expression(text, steps, all(map(_silent, steps))))


def _silent(step: Step) -> bool:
    """Whether the step asks for nothing; an ``or`` of nothing is true, and asks for all."""
    return step.what in (Operator.ANYTHING, Operator.AND)


@lru_cache(maxsize=1)
def present() -> Expression:
    """What takes the place of what cannot be understood (spec 04 §3.9)."""
    return parse("present").expression


def messages(problems: tuple[Problem, ...]) -> str:
    """All problems as git-annex words them."""
    return " ".join(map(str, problems))
