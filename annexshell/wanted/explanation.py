"""Why a repository wants a key or not: the expression as a tree, with values (spec 04 §5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from annexshell.wanted.expression import Expression, Operator, Term

if TYPE_CHECKING:
    from annexshell.wanted.evidence import Evidence
    from annexshell.wanted.preferences import Compiled

DEEPEST = 100
"""Levels of a tree that `Explanation.as_json` gives; writers of JSON recurse."""


@attrs.define(eq=False)
class Node:
    """An operator or a term.

    ``offset`` and ``length`` say where in its text it stands, in characters; for what
    ``standard`` and ``groupwanted`` stand for, and for required content beside preferred
    content, that is a text of its own. ``value`` is None if it was not needed. ``and``
    and ``or`` have two or more children, a term those that it stands for: only where it
    occurs first.
    """

    text: str
    offset: int
    length: int
    is_term: bool
    value: bool | None
    why: str = ""
    decided: bool = False
    """Whether it is the term that made the result."""
    children: list[Node] = attrs.field(factory=list, repr=False)

    def _fields(self) -> dict[str, object]:
        fields: dict[str, object] = {
            "term" if self.is_term else "operator": self.text,
            "offset": self.offset,
            "value": self.value,
        }
        if self.why:
            fields["why"] = self.why
        if self.decided:
            fields["decided"] = True
        return fields


@attrs.frozen(eq=False)
class Explanation:
    """The answer. ``reason`` is given where it is not by what the terms say.

    ``decided`` is the term that made the result, then the one that made that term's, and
    so on; empty if no term did.
    """

    wanted: bool
    reason: str = ""
    root: Node | None = None
    decided: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Every node with its depth, as they are written; the root's depth is 0."""
        waiting = [] if self.root is None else [(0, self.root)]
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting += ((depth + 1, child) for child in reversed(node.children))

    def as_json(self) -> dict[str, object]:
        """For json.dumps; what is nested deeper than `DEEPEST` is ``omitted``."""
        result: dict[str, object] = {"wanted": self.wanted, "decided": [*self.decided]}
        if self.reason:
            result["reason"] = self.reason
        if self.unstable:
            result["unstable"] = [*self.unstable]
        levels: list[list[dict[str, object]]] = [[]]
        for depth, node in self.walk():
            if depth > DEEPEST:
                levels[DEEPEST][-1]["omitted"] = True
                continue
            del levels[depth + 1 :]
            fields = node._fields()
            levels[depth].append(fields)
            if node.children:
                levels.append([])
                fields["children"] = levels[-1]
        if self.root is not None:
            result["expression"] = levels[0][0]
        return result


def explained(compiled: Compiled, evidence: Evidence, wanted: bool) -> Explanation:
    """The explanation of what ``evidence`` has a trace of."""
    teller = _Teller(evidence)
    root = teller.tree(compiled.expression, "")
    decided = tuple(node.text for node in teller.path())
    reason = ""
    if compiled.unstable:
        names = " ".join(compiled.unstable)
        reason = f"not stable due to negated use of {names}, so it matches nothing"
    elif compiled.problems:
        reason = "it cannot be understood, so it counts as present"
    return Explanation(
        wanted and not compiled.unstable, reason, root, decided, compiled.unstable
    )


class _Teller:
    """Makes trees; each of what terms stand for once."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._trace = evidence.trace or {}
        self._told: set[str] = set()
        self._decisive: dict[str, Node] = {}

    def tree(self, expression: Expression, inside: str) -> Node:
        """The tree of ``expression``, which the trace knows by ``inside``."""
        values = self._trace[inside]
        program = expression.program
        value_of = dict(zip(program.steps, values))
        last = next((i for i, v in enumerate(values) if v is not None), None)
        decisive = None if last is None else program.steps[last]
        nodes: list[Node] = []
        for number, step in enumerate(expression.steps):
            what = step.what
            if isinstance(what, Term):
                node = Node(what.text, step.offset, step.length, True, value_of[number])
                if number == decisive:
                    self._decisive[inside] = node
                self._tell(what, node, inside)
                nodes.append(node)
            else:
                _operate(nodes, Node(what.value, *step[1:], False, None), what)
        return nodes[0]

    def _tell(self, term: Term, node: Node, inside: str) -> None:
        if node.value is None:
            return
        outside, self._evidence.inside = self._evidence.inside, inside
        node.why = term.why(self._evidence) if term.why is not None else ""
        self._evidence.inside = outside
        what = self._evidence.expansions.of(term.name) if term.expands else None
        if what is None or inside == term.name or term.name not in self._trace:
            return
        if term.name in self._told:
            node.why = "as above"
            return
        self._told.add(term.name)
        node.children.append(self.tree(what, term.name))

    def path(self) -> Iterator[Node]:
        """The term that decided, the one that decided that term's value, and so on."""
        inside = ""
        while inside in self._decisive:
            node = self._decisive.pop(inside)
            node.decided = True
            yield node
            inside = node.text


def _operate(nodes: list[Node], node: Node, operator: Operator) -> None:
    """Put the operator above its operands; a chain of the same one becomes one node."""
    if operator is Operator.ANYTHING:
        node.value = True
        nodes.append(node)
        return
    right = nodes.pop()
    if operator is Operator.NOT:
        node.value = None if right.value is None else not right.value
        node.children.append(right)
        nodes.append(node)
        return
    left = nodes.pop()
    value = left.value
    if value is not None and value is (operator is Operator.AND):
        value = right.value
    if left.text == node.text and not left.is_term:
        node = left
    else:
        node.children.append(left)
    node.value = value
    node.children.append(right)
    nodes.append(node)
