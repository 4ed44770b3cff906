"""How much work one answer may take: whoever pushes writes expressions and facts.

A thousand globs, each tried on the hundred thousand urls that a key was given, are minutes
of work; and so are a thousand questions after a group of a hundred thousand. Work is
counted, not timed, so that an answer does not hang on how busy the server is.
"""

from __future__ import annotations

from annexshell.errors import AnnexshellError

MOST_WORK = 500_000_000
"""About five seconds: each unit is some ten nanoseconds. What people configure takes less
than a hundredth of it."""
JUMP = 20
MEMBER = 15
"""Units for one term, and for one member of a set that is gone through."""


class TooMuchWork(AnnexshellError):
    text = (
        "evaluating what repositories want takes too much work for this key ({detail}):"
        " look at who pushed that to the git-annex branch"
    )


class Effort:
    """What may still be done for one key, for all repositories that are asked about."""

    def __init__(self, most: int | None = None) -> None:
        self._left = MOST_WORK if most is None else most

    def spend(self, units: int) -> None:
        """Raises TooMuchWork, and from then on always."""
        self._left -= units
        if self._left < 0:
            raise TooMuchWork(detail="by the expressions, groups and logs there are")
