"""What `metadata=` compares the values of a field with (spec 04 §3.7)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import attrs

from annexshell.wanted.globs import compile_glob
from annexshell.wanted.quantities import parse_double

_OPERATOR = re.compile(r"[<>]=?|=|\Z")
_FIELD = re.compile(r"[^\W_][\w.-]*")

Compare = Callable[[float | str, float | str], bool]
_COMPARE: Mapping[str, Compare] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class BadField(NamedTuple):
    """No field can have this name."""

    name: str


class BadGlob(NamedTuple):
    """The glob cannot be compiled: the expression counts as one that does not parse."""

    text: str


@attrs.frozen
class MetadataTest:
    """One test; ``field`` is case-folded, as the names in `current_metadata` are."""

    field: str
    holds: Callable[[str], bool]
    """Whether a value passes."""
    work: Callable[[str], int]
    """What comparing a value costs at most, in the units of `Effort`."""

    def matches(self, values: Iterable[str]) -> bool:
        """Whether any of the field's values passes."""
        return any(map(self.holds, values))


def parse_metadata_test(text: str) -> MetadataTest | BadField | BadGlob:
    """What stands after `metadata=`. A field alone is compared with the empty value."""
    found = _OPERATOR.search(text)
    name = text if found is None else text[: found.start()]
    if found is None or not _FIELD.fullmatch(name):
        return BadField(name)
    rest = text[found.end() :]
    if found[0] in _COMPARE:
        holds = _comparison(_COMPARE[found[0]], rest)
        return MetadataTest(name.casefold(), holds, _work)
    glob = compile_glob(rest, path=False, ignore_case=True)
    if glob is None:
        return BadGlob(rest)
    return MetadataTest(name.casefold(), glob.matches, glob.work)


def _work(value: str) -> int:
    return 200 + len(value)


def _comparison(compare: Compare, bound: str) -> Callable[[str], bool]:
    """As doubles if both are numbers, else as texts by code point."""
    number = parse_double(bound)

    def holds(value: str) -> bool:
        if number is not None:
            own = parse_double(value)
            if own is not None:
                return compare(own, number)
        return compare(value, bound)

    return holds
