"""Whatever sessions do, and in whatever order, all of them know the same sizes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from tests.support.repositories import U1, U2, U3, plain_repo
from tests.support.sizes import UUIDS, Party, key, live

KEYS = [key(name, size) for name, size in (("a", 1), ("b", 20), ("c", 300))]
NODES = (U1, U2, U3)
Step = tuple[str, int, Key, UUID]

STEPS = st.tuples(
    st.sampled_from(
        ("reserve", "reserve", "store", "store", "remove", "release", "settle", "again")
    ),
    st.integers(0, 2),
    st.sampled_from(KEYS),
    st.sampled_from(NODES),
)


class Model:
    """Who has what, and what each session has announced."""

    def __init__(self) -> None:
        self.held: set[tuple[UUID, Key]] = set()
        self.announced: list[set[tuple[UUID, Key]]] = [set(), set(), set()]

    def sizes(self) -> dict[UUID, int]:
        found = dict.fromkeys(NODES, 0)
        for uuid, known in self.held.union(*self.announced):
            found[uuid] += known.size or 0
        return found


def take(
    step: Step, model: Model, parties: list[Party], fresh: Callable[[], Party]
) -> None:
    word, number, known, uuid = step
    party, announced, pair = parties[number], model.announced[number], (uuid, known)
    if word == "reserve" and pair not in model.held:
        party.reserve(known, uuid)
        announced.add(pair)
    elif word == "store":
        party.branch.record(known, uuid, True)
        model.held.add(pair)
        announced.discard(pair)
    elif word == "remove" and not any(pair in one for one in model.announced):
        party.branch.record(known, uuid, False)
        model.held.discard(pair)
    elif word == "release":
        party.sizes.release(known)
        announced -= {pair for pair in announced if pair[1] == known}
    elif word == "settle":
        party.branch.settle()
    elif word == "again":
        # Its sizes are recorded for the commit that is there now.
        party.sizes.close()
        announced.clear()
        parties[number] = fresh()


@settings(max_examples=20)
@given(st.lists(STEPS, max_size=12))
@example(
    [
        ("reserve", 0, KEYS[2], U2),
        ("reserve", 1, KEYS[2], U2),
        ("store", 0, KEYS[2], U2),
        ("settle", 0, KEYS[0], U1),
        ("again", 2, KEYS[0], U1),
        ("store", 1, KEYS[2], U2),
        ("remove", 0, KEYS[2], U2),
    ]
)
def test_all_sessions_know_the_same(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        repo = plain_repo(Path(place) / "repo")
        repo.commit({b"uuid.log": UUIDS})

        def fresh() -> Party:
            party = Party(repo)
            stack.callback(party.sizes.close)
            return party

        parties, model = [fresh() for _ in range(3)], Model()
        for step in steps:
            take(step, model, parties, fresh)
            for party in parties:
                assert dict(party.sizes.current()) == model.sizes(), step
        for party in parties:
            party.sizes.close()
        if steps:
            assert live(repo) == []
