"""What a run of the bench found, as values that can be kept in a file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.bench.ratios import Cost, Spread, ratio, values


@dataclass(frozen=True)
class Comparison:
    """Interleaved runs of two programs (or of two ways) that did the same.

    ``costs`` are those of ``subject`` and ``base`` those of ``reference``, run by run.
    """

    group: str
    row: str
    subject: str
    reference: str
    costs: tuple[Cost, ...]
    base: tuple[Cost, ...]

    def ratio(self, quantity: str) -> Spread | None:
        """Subject to reference; below 1 the subject needs less."""
        return ratio(self.costs, self.base, quantity)

    def medians(self, quantity: str) -> tuple[float, float]:
        """What subject and reference took, each by itself."""
        ours, theirs = values(self.costs, quantity), values(self.base, quantity)
        return statistics.median(ours), statistics.median(theirs)


@dataclass(frozen=True)
class Results:
    """A whole run: where, with what options, and what came out."""

    machine: Mapping[str, str]
    options: Mapping[str, str]
    comparisons: tuple[Comparison, ...]

    def with_more(self, comparisons: Iterable[Comparison]) -> Results:
        """These, and what another row says."""
        return replace(self, comparisons=(*self.comparisons, *comparisons))

    def stopped(self, reason: str) -> Results:
        """The results of a run that did not come to its end."""
        return replace(self, options={**self.options, "stopped": reason})

    def write(self, path: Path) -> None:
        """Replace the file by one that is whole: a run may end at any time."""
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps(asdict(self), indent=1) + "\n")
        new.replace(path)

    @classmethod
    def read(cls, path: Path) -> Results:
        """What ``write`` wrote."""
        told = json.loads(path.read_text())
        comparisons = tuple(
            Comparison(
                **{
                    **entry,
                    "costs": tuple(Cost(**cost) for cost in entry["costs"]),
                    "base": tuple(Cost(**cost) for cost in entry["base"]),
                }
            )
            for entry in told["comparisons"]
        )
        return cls(told["machine"], told["options"], comparisons)
