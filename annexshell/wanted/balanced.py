"""Which members of a group the balanced family picks for a key (spec 04 §7).

It is bit for bit what git-annex picks: every client and every gateway has to come to the
same members without asking each other.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from heapq import nlargest
from typing import NamedTuple

import attrs

from annexshell.model.ids import UUID
from annexshell.model.key import Key

Members = frozenset[UUID]


class _Group(NamedTuple):
    """A group's members in the order of their bytes, and what their picks are keyed by."""

    members: tuple[UUID, ...]
    secret: bytes


@lru_cache(maxsize=64)
def _group(members: Members) -> _Group:
    ordered = tuple(sorted(members))
    return _Group(ordered, b"".join(ordered))


@attrs.frozen(slots=False)
class Space:
    """Who has room for one key. Picks are remembered: use one for all nodes of a cluster.

    ``sizes`` are in bytes, what is on its way included; given as a function it is called
    only if a member with a maxsize has to be judged. ``maxsize`` is in bytes. ``holders``
    are all that the location log lists for the key, the dead too.
    """

    sizes: Mapping[UUID, int] | Callable[[], Mapping[UUID, int]]
    maxsize: Mapping[UUID, int]
    key: Key
    holders: Members
    _picks: dict[tuple[object, ...], Members] = attrs.field(factory=dict, init=False)
    _numbers: dict[Members, int] = attrs.field(factory=dict, init=False)

    @property
    def picks(self) -> int:
        """How often it had to be worked out who is picked."""
        return len(self._picks)

    @cached_property
    def known(self) -> Mapping[UUID, int]:
        """The sizes; may block, and raise what reading them raises."""
        return self.sizes() if callable(self.sizes) else self.sizes

    def has_room(self, uuid: UUID) -> bool:
        """Whether the key fits below the maxsize, or is there and the maxsize is kept.

        Without a maxsize, or without a known size, there is always room.
        """
        limit = self.maxsize.get(uuid)
        if limit is None:
            return True
        size = self.known.get(uuid)
        return size is None or self._fits(uuid, size, limit)

    def _fits(self, uuid: UUID, size: int, limit: int) -> bool:
        more = 0 if uuid in self.holders else self.key.size or 0
        return size + more <= limit

    def _free(self, uuid: UUID) -> float | None:
        """The free part of a member, None if it cannot be picked by its size."""
        limit, size = self.maxsize.get(uuid, 0), self.known.get(uuid, 0)
        if limit <= 0 or not self._fits(uuid, size, limit):
            return None
        own = (self.key.size or 0) if uuid in self.holders else 0
        return _quotient(limit - size + own, limit)

    def _too_full(self, uuid: UUID, threshold: float) -> bool:
        limit, size = self.maxsize.get(uuid), self.known.get(uuid)
        if not limit or size is None:
            return False
        return _double(size) >= _double(limit) * (threshold / 100)

    def _number(self, members: Members) -> int:
        """The number that decides where among the candidates the picking begins."""
        found = self._numbers.get(members)
        if found is None:
            secret = _group(members).secret
            digest = hmac.digest(secret, self.key.text, "sha256")
            found = self._numbers[members] = int.from_bytes(digest, "big")
        return found


def fully_balanced(members: Members, count: int, space: Space) -> Members:
    """The ``count`` members that `fullybalanced` picks (spec 04 §7.2)."""
    return _remembered(_with_room, members, count, space)


def fully_size_balanced(members: Members, count: int, space: Space) -> Members:
    """The ``count`` members with the largest free part (spec 04 §7.3)."""
    return _remembered(_emptiest, members, count, space)


def rebalanced(members: Members, count: int, space: Space, threshold: float) -> Members:
    """What `balanced` and `fullybalanced` pick when rebalancing (spec 04 §7.5).

    ``threshold`` is a percentage: members that full are passed over for emptier ones.
    """
    if count > 1:
        full = sum(space._too_full(uuid, threshold) for uuid in members)
        if count > len(members) - full:
            return fully_size_balanced(members, count, space)
    return fully_balanced(members, count, space)


Candidates = Callable[[Members, int, Space], list[UUID]]


def _remembered(
    candidates: Candidates, members: Members, count: int, space: Space
) -> Members:
    asked = (candidates, members, count)
    found = space._picks.get(asked)
    if found is None:
        found = _pick(candidates(members, count, space), members, count, space)
        space._picks[asked] = found
    return found


def _pick(chosen: list[UUID], members: Members, count: int, space: Space) -> Members:
    if count <= 0 or count >= len(chosen):
        return frozenset(chosen if count > 0 else ())
    first = space._number(members) % len(chosen)
    return frozenset(chosen[(first + i) % len(chosen)] for i in range(count))


def _with_room(members: Members, count: int, space: Space) -> list[UUID]:
    ordered, limits = _group(members).members, space.maxsize
    return [uuid for uuid in ordered if uuid not in limits or space.has_room(uuid)]


def _emptiest(members: Members, count: int, space: Space) -> list[UUID]:
    parts = ((space._free(uuid), uuid) for uuid in members)
    found = [(part, uuid) for part, uuid in parts if part is not None]
    return [uuid for _, uuid in nlargest(max(count, 0), found)]


def _double(number: int) -> float:
    """The nearest double; hostile numbers are infinite, as they are for git-annex."""
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _quotient(part: int, whole: int) -> float:
    found = _double(part) / _double(whole)
    return found if found == found else 0.0
