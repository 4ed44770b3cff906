"""Picks of the balanced family: what git-annex was seen to pick."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.wanted.balanced import (
    Space,
    fully_balanced,
    fully_size_balanced,
    rebalanced,
)
from tests.support.vectors import vectors

U = [UUID(uuid.encode()) for uuid in vectors("balanced_picks")["uuids"]]
GROUP = frozenset(U[:3])
KEY = Key.parse(b"WORM-s1000--1")
"""The number that its picks begin with is even, and 1 modulo 3."""

NO_SIZE = Key.parse(b"WORM--test")


def _space(
    maxsize: tuple[int, ...] = (),
    sizes: tuple[int, ...] = (),
    key: Key = KEY,
    holders: frozenset[UUID] = frozenset(),
) -> Space:
    return Space(dict(zip(U, sizes)), dict(zip(U, maxsize)), key, holders)


def _numbers(uuids: frozenset[UUID]) -> list[int]:
    return sorted(U.index(uuid) + 1 for uuid in uuids)


def test_the_picks_that_git_annex_makes() -> None:
    data = vectors("balanced_picks")
    keys = [Key.parse(text.encode()) for text in data["keys"]]
    spaces = [_space(key=key) for key in keys]
    for number, size, count, picked in data["rows"]:
        found = fully_balanced(frozenset(U[:size]), count, spaces[number])
        assert _numbers(found) == picked, (keys[number], size, count)


def test_the_digest_that_picks_begin_with() -> None:
    data = vectors("balanced_picks")
    for size, digests in data["hmac_hex"].items():
        secret = b"".join(sorted(U[: int(size)]))
        for number, digest in digests.items():
            text = data["keys"][int(number)].encode()
            assert hmac.digest(secret, text, "sha256").hex() == digest
            members, key = frozenset(U[: int(size)]), Key.parse(text)
            first = sorted(members)[int(digest, 16) % len(members)]
            assert fully_balanced(members, 1, _space(key=key)) == {first}


def test_members_are_ordered_by_their_bytes() -> None:
    members = frozenset(UUID(b"%d" % n) for n in range(1, 501))
    space = _space(key=NO_SIZE)
    assert fully_balanced(members, 1, space) == {b"332"}
    assert fully_balanced(members, 3, space) == {b"332", b"333", b"334"}


@pytest.mark.parametrize(
    ("maxsize", "picked"),
    [
        ((1000, 1000, 1000), [2]),
        ((999, 1000, 1000), [2]),
        ((0, 1000, 1000), [2]),
        ((1000, 999, 1000), [1]),
        ((1000, 1000, 999), [1]),
        ((999, 999, 999), []),
    ],
)
def test_who_has_no_room_is_no_candidate(
    maxsize: tuple[int, ...], picked: list[int]
) -> None:
    space = _space(maxsize, (0, 0, 0))
    assert _numbers(fully_balanced(GROUP, 1, space)) == picked


def test_whose_size_is_not_known_has_room() -> None:
    assert _numbers(fully_balanced(GROUP, 3, _space((1, 1, 1)))) == [1, 2, 3]


def test_a_holder_has_room_until_it_is_above_its_maxsize() -> None:
    space = _space((1000, 1000, 1000), (1000, 1001, 1000), holders=frozenset(U[:2]))
    assert [space.has_room(uuid) for uuid in U[:4]] == [True, False, False, True]


@pytest.mark.parametrize(
    ("maxsize", "picked"),
    [
        ((1000, 1000, 1000), [3]),
        ((1000, 1000, 999), [2]),
        ((1000, 999, 1000), [3]),
        ((999, 999, 999), []),
        ((), []),
    ],
)
def test_of_equally_empty_members_the_last_is_picked(
    maxsize: tuple[int, ...], picked: list[int]
) -> None:
    space = _space(maxsize, (0, 0, 0))
    assert _numbers(fully_size_balanced(GROUP, 1, space)) == picked


def test_a_key_without_a_size_fits_anywhere_but_where_maxsize_is_0() -> None:
    space = _space((999, 999, 999), (0, 0, 0), NO_SIZE)
    assert _numbers(fully_size_balanced(GROUP, 1, space)) == [3]
    space = _space((0, 0, 0), (0, 0, 0), NO_SIZE)
    assert _numbers(fully_size_balanced(GROUP, 1, space)) == []
    bare = Key.parse(b"SHA256E--" + b"a" * 64 + b".x")
    assert len(fully_balanced(GROUP, 1, _space((0, 0, 0), (0, 0, 0), bare))) == 1


def test_the_emptiest_are_picked() -> None:
    key = Key.parse(b"WORM-s10--x")
    space = _space((1000, 1000, 1000), (950, 950, 100), key)
    assert _numbers(fully_size_balanced(GROUP, 1, space)) == [3]
    assert _numbers(fully_size_balanced(GROUP, 2, space)) == [2, 3]
    assert _numbers(fully_size_balanced(GROUP, 3, space)) == [1, 2, 3]


@pytest.mark.parametrize("count", [0, -1, -(2**63)])
def test_nobody_is_picked_for_no_copies(count: int) -> None:
    for members in (GROUP, frozenset[UUID]()):
        assert fully_balanced(members, count, _space((1, 1, 1))) == frozenset()
        assert fully_size_balanced(members, count, _space((1, 1, 1))) == frozenset()


def test_hostile_numbers_pick_somebody_and_do_not_fail() -> None:
    space = _space((10**400, 10**400, 10**400), (10**399, -(10**500), 0))
    assert len(fully_size_balanced(GROUP, 2, space)) == 2
    assert len(rebalanced(GROUP, 2**63 - 1, space, 90.0)) == 3


def test_sizes_are_not_asked_for_where_nobody_has_a_maxsize() -> None:
    def fail() -> dict[UUID, int]:
        raise AssertionError("sizes are expensive")

    assert len(fully_balanced(GROUP, 2, Space(fail, {}, KEY, frozenset()))) == 2


def _full(case: dict[str, Any]) -> list[tuple[Space, list[int]]]:
    """For each key who can be picked from, and who wants it."""
    found = []
    keys = vectors("balanced_states")["keys"]
    for text, (located, wanting, _) in zip(keys, case["keys"]):
        holders = frozenset(U[n - 1] for n in located)
        maxsize = dict(zip(U, case["maxsize"]))
        maxsize = {uuid: size for uuid, size in maxsize.items() if size is not None}
        sizes = dict(zip(U, case["size"]))
        found.append(
            (Space(sizes, maxsize, Key.parse(text.encode()), holders), wanting)
        )
    return found


def _count(expression: str) -> int | None:
    number = expression.partition(":")[2] or "1"
    return None if number == "lackingcopies" else int(number)


def test_states_in_which_a_number_is_given_and_presence_does_not_count() -> None:
    seen = 0
    members = frozenset(U[:4])
    for case in vectors("balanced_states")["cases"]:
        count, name = _count(case["expr"]), case["expr"].partition("=")[0]
        if count is None or not (name.startswith("fully") or case["rebalance"]):
            continue
        for space, wanting in _full(case):
            if name.endswith("sizebalanced"):
                found = fully_size_balanced(members, count, space)
            elif case["rebalance"]:
                found = rebalanced(members, count, space, case["threshhold"])
            else:
                found = fully_balanced(members, count, space)
            assert _numbers(found) == wanting, case
            seen += 1
    assert seen > 50
