"""Which target holds for what."""

from __future__ import annotations

from tests.bench.ratios import Cost
from tests.bench.rows import _WAYS as WAYS
from tests.bench.targets import COLD, TARGETS, WARM, target_of, verdicts
from tests.support.rows import each_of
from tests.unit.bench.made import comparison

LARGE, SMALL, START = "Large content", "Small operations", "Start"
UNSYNCED = f"{WARM}, no fsync"
EXPECTED = [
    *[(LARGE, f"GET, {way}", WARM, "cpu", 0.25) for way in WAYS],
    *[(LARGE, f"GET, {way}", WARM, "wall", 0.6) for way in WAYS],
    *[(LARGE, f"GET, {way}", COLD, "wall", None) for way in WAYS],
    (LARGE, "PUT, local", WARM, "cpu", 0.35),
    (LARGE, "PUT, proxied", WARM, "cpu", 0.35),
    (LARGE, "PUT, cluster of 2", WARM, "cpu", 0.25),
    (LARGE, "PUT, cluster of 2", WARM, "wall", 0.5),
    (LARGE, "PUT, local", UNSYNCED, "wall", None),
    *[(LARGE, f"PUT, {way}", WARM, "peak", 0.8) for way in WAYS],
    *[(SMALL, f"GET, {way}", WARM, "wall", 1.0) for way in WAYS],
    *[(SMALL, f"REMOVE, {way}", UNSYNCED, "wall", 0.7) for way in WAYS],
    (SMALL, "PUT, local", WARM, "cpu", None),
    (START, "first answer, local", WARM, "wall", 3.0),
    (START, "first answer, proxied", WARM, "wall", 1.0),
    (START, "first answer, cluster of 2", WARM, "wall", 1.0),
    (START, "AUTH-SUCCESS, local", WARM, "wall", None),
    (START, "first answer, local", COLD, "wall", None),
    ("Fan-out", "PUT to 8 nodes", WARM, "wall", None),
]


@each_of(EXPECTED)
def test_targets(
    group: str, row: str, subject: str, quantity: str, most: float | None
) -> None:
    found = target_of(comparison(group, row, subject), quantity)
    assert (found and found.most) == most


def test_a_real_client_is_judged_by_its_own_direct_way() -> None:
    ways = {
        ("annexshell, proxied", "annexshell, direct"): 1.02,
        ("annexshell, proxied", "git-annex-shell, proxied"): None,
        ("git-annex-shell, proxied", "git-annex-shell, direct"): None,
    }
    for (subject, reference), most in ways.items():
        row = comparison(
            "Real client", "one file of 500 MB", subject, reference=reference
        )
        found = target_of(row, "wall")
        assert (found and found.most) == most


def test_every_target_holds_for_something() -> None:
    client = ("Real client", "one file of 500 MB", "annexshell, proxied", "wall", 1.02)
    met = set()
    for group, row, subject, quantity, _ in [*EXPECTED, client]:
        reference = (
            "annexshell, direct" if group == "Real client" else "git-annex-shell"
        )
        met.add(
            target_of(comparison(group, row, subject, reference=reference), quantity)
        )
    assert met >= set(TARGETS)


def test_verdicts_are_by_the_median_and_what_is_exactly_at_the_target_meets_it() -> (
    None
):
    theirs = (Cost(10, 100, 10),) * 3
    ours = (Cost(6, 24, 9), Cost(6, 30, 9), Cost(99, 90, 1))
    found = {
        one.target.quantity: (one.met, one.median)
        for one in verdicts(comparison(costs=ours, base=theirs))
    }
    assert found == {"wall": (True, 0.6), "cpu": (False, 0.3), "peak": (False, 0.9)}


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    found = list(verdicts(comparison(costs=(Cost(1),), base=(Cost(2),))))
    assert [one.target.quantity for one in found] == ["wall"]
