"""An expression with its values as a tree, for a person."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from annexshell.admin.checking import spelled
from annexshell.admin.usage import rough_size

if TYPE_CHECKING:
    from annexshell.admin.explaining import Source, Verdict
    from annexshell.wanted.explanation import Explanation, Node

_NARROWEST = 80
"""Columns."""
_MOST, _DEEPEST = 400, 30
"""Lines and levels of a tree; expressions of any length may be pushed."""
_LONGEST = 200
"""Characters of a term or an expression."""
_STYLES = {True: "green", False: "red", None: "dim"}
_VALUES = {True: "true", False: "false", None: "not looked at"}


def verdict_text(verdict: Verdict, *, colour: bool) -> str:
    """The answer, what it was made from, and the tree; ends with a line's end."""
    out = io.StringIO()
    # In a narrower one the tree would have no room; wrapped lines can still be read.
    width = max(_NARROWEST, shutil.get_terminal_size().columns)
    console = Console(
        file=out,
        width=width,
        color_system="standard" if colour else None,
        force_terminal=colour,
        legacy_windows=False,
        highlight=False,
    )
    for line in _heading(verdict):
        console.print(line, soft_wrap=True)
    if verdict.explanation.root is not None:
        console.print(_tree(verdict.explanation))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _heading(verdict: Verdict) -> Iterator[Text]:
    wanted = verdict.explanation.wanted
    answer = "wants it" if wanted else "does not want it"
    already = ", and has it by the location log" if verdict.listed else ""
    style = f"bold {_STYLES[wanted]}"
    yield Text.assemble((verdict.name, "bold"), ": ", (answer, style), already)
    for source in verdict.sources:
        yield from _source(source)
    yield Text(f"  decided by: {_decision(verdict)}")
    if verdict.room is not None and verdict.maxsize is not None:
        free = f"{rough_size(verdict.room)} of {rough_size(verdict.maxsize)}"
        yield Text(f"  free below maxsize: {free}")


def _source(source: Source) -> Iterator[Text]:
    yield Text(f"  {source.name}: {_cut(spelled(source.text))}")
    for problem in source.problems[:1]:
        message = f"{spelled(problem.message)}: counts as present"
        yield Text(f"  cannot be parsed, {message}", style="red")
        for line in problem.caret(source.text).splitlines():
            yield Text(f"    {line}")


def _decision(verdict: Verdict) -> str:
    found = verdict.explanation
    if not verdict.sources:
        return "nothing is configured, so it gets everything"
    reason = f"{found.reason}: " if found.reason else ""
    terms = " > ".join(_cut(spelled(term)) for term in found.decided)
    if found.unstable:
        return spelled(found.reason)
    return f"{reason}{terms or 'no term'} ({verdict.by})"


def _tree(explanation: Explanation) -> Tree:
    """The first lines of the tree, as deep as can be shown."""
    top: list[Tree] = []
    shown = islice(explanation.walk(), _MOST + 1)
    for number, (depth, node) in enumerate(shown):
        if number == _MOST:
            top[0].add(Text("... and more", style="dim"))
            break
        if depth > _DEEPEST:
            continue
        del top[depth:]
        label = _label(node)
        if depth == _DEEPEST and node.children:
            label.append(" ...")
        top.append(top[-1].add(label) if top else Tree(label, guide_style="dim"))
    return top[0]


def _label(node: Node) -> Text:
    style = _STYLES[node.value]
    name = _cut(spelled(node.text))
    label = Text.assemble((name, style), f" = {_VALUES[node.value]}")
    if node.why:
        label.append(f": {_cut(spelled(node.why))}", style="dim")
    if node.decided:
        label.append("  <- decides", style="bold")
    return label


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
