"""Whether a repository wants a key (spec 04 §2)."""

from __future__ import annotations

from typing import NamedTuple

from annexshell.wanted.evidence import Evidence, Known
from annexshell.wanted.explanation import Explanation, explained
from annexshell.wanted.facts import Question
from annexshell.wanted.preferences import Compiled


class Answer(NamedTuple):
    """``balanced`` is whether a term that chooses by sizes was found true."""

    wanted: bool
    balanced: bool = False


def evaluate(
    compiled: Compiled | None, question: Question, known: Known | None = None
) -> Answer:
    """The answer, asking for no more facts than it takes; raises what the facts raise.

    ``known`` is shared by questions about the same facts and configuration.
    """
    facts = question.facts
    if compiled is None or (facts.key is None and facts.file is None):
        return Answer(question.default)
    if compiled.unstable:
        return Answer(False)
    evidence = Evidence(question, compiled.expansions, known or _known(question))
    wanted = evidence.run(compiled.expression.program)
    return Answer(wanted, evidence.balanced)


def _known(question: Question) -> Known:
    return Known(question.facts, question.configuration)


def explain(compiled: Compiled | None, question: Question) -> Explanation:
    """The same answer with all that led to it; raises what the facts raise."""
    facts = question.facts
    if compiled is None or (facts.key is None and facts.file is None):
        return Explanation(question.default, "the default")
    evidence = Evidence(question, compiled.expansions, _known(question), {})
    wanted = evidence.run(compiled.expression.program)
    return explained(compiled, evidence, wanted)
