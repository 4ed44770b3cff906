"""What looks wrong in an expression that can be parsed (spec 04 §3.2, §3.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import attrs

from annexshell.wanted.parse import TOKEN

_TRUST = ("trusted", "semitrusted", "untrusted", "dead")
_BALANCED = ("balanced", "fullybalanced", "sizebalanced", "fullysizebalanced")
_NUMBERED = ("copies", "lackingcopies", "approxlackingcopies")
_WHOLE = ("inallgroup", "onlyingroup")
_GLOBS = ("include", "exclude", "url", "metadata")
_ZERO_WIDTH = "'`<>"
"""In a glob git-annex takes them for places, not for characters."""


class Named(NamedTuple):
    """A group that a term names."""

    term: str
    name: str
    group: str

    @property
    def balanced(self) -> bool:
        return self.name in _BALANCED

    @property
    def by_size(self) -> bool:
        """Whether only members with a maxsize can be chosen."""
        return "sizebalanced" in self.name

    @property
    def effect_if_empty(self) -> str:
        """What the term is where the group has no members."""
        if self.balanced:
            return "nobody is ever chosen"
        if self.name == "inallgroup":
            return "it is always true"
        return "no copies are counted" if self.name in _NUMBERED else "it is never true"


def named_groups(terms: Iterable[str]) -> Iterator[Named]:
    """The groups in terms that can be parsed, in their order."""
    for term in terms:
        name, _, value = term.partition("=")
        group, colon, _ = value.partition(":")
        if name in _WHOLE:
            yield Named(term, name, value)
        elif name in _BALANCED:
            yield Named(term, name, group)
        elif name in _NUMBERED and colon and not _is_trust(name, group):
            yield Named(term, name, group)


def _is_trust(name: str, group: str) -> bool:
    return name == "copies" and group.removesuffix("+") in _TRUST


@attrs.define
class _Level:
    """What was met between two parentheses."""

    operands: int = 0
    has_or: bool = False


@attrs.define
class _Reader:
    """Goes through the words as the parser does; ``found`` has a message by kind."""

    found: dict[str, str] = attrs.field(factory=dict)
    levels: list[_Level] = attrs.field(factory=lambda: [_Level()])
    operator: str = ""
    """The ``and`` or ``or`` before the next operand, if there is one."""

    def read(self, word: str) -> None:
        level = self.levels[-1]
        if word in ("and", "or"):
            self.operator = word
            level.has_or = level.has_or or word == "or"
        elif word == ")":
            self._close()
        elif word != "not":
            self._operand(level, word)

    def _operand(self, level: _Level, word: str) -> None:
        if level.operands and level.has_or and self.operator != "or":
            self.found["and-after-or"] = _AND_AFTER_OR
        if word == "(":
            if level.operands and len(self.levels) > 1 and not self.operator:
                self.found["group-in-group"] = _GROUP_IN_GROUP
            self.levels.append(_Level())
        elif _has_zero_width(word):
            self.found["zero-width"] = _ZERO
        level.operands += 1
        self.operator = ""

    def _close(self) -> None:
        if len(self.levels) > 1:
            self.levels.pop()
        else:
            self.found["parentheses"] = _PARENTHESES
        self.operator = ""


_AND_AFTER_OR = (
    "an and, or two terms side by side, after an or: they bind alike and are taken from"
    " left to right; parentheses make clear what is meant"
)
_GROUP_IN_GROUP = (
    "a parenthesis inside of another one, with neither and nor or before it, goes on with"
    " the outer one: (a (b or c)) is (a and b) or c; write and before it"
)
_PARENTHESES = (
    "the parentheses do not match: what is missing at the end is added, what is too much"
    " is ignored"
)
_ZERO = (
    "one of ' ` < > in a glob: git-annex takes it for a place in the name, such as the end"
    " of a word, and not for the character; use ? for it"
)


def oddities(text: str) -> list[tuple[str, str]]:
    """What may not be meant as it is written: a kind, that stays, and a message."""
    reader = _Reader()
    for match in TOKEN.finditer(text):
        reader.read(match[0])
    if len(reader.levels) > 1:
        reader.found["parentheses"] = _PARENTHESES
    return sorted(reader.found.items())


def _has_zero_width(term: str) -> bool:
    name, _, glob = term.partition("=")
    if name == "metadata":
        field, _, glob = glob.partition("=")
        if any(sign in field for sign in "<>"):
            return False
    return name in _GLOBS and any(char in glob for char in _ZERO_WIDTH)
