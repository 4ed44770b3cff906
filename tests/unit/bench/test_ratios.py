"""Ratios of paired runs."""

from __future__ import annotations

import pytest

from tests.bench.ratios import Cost, Spread, ratio, spread


def test_quartiles_lie_between_the_values() -> None:
    assert spread([5, 1, 4, 2, 3]) == Spread(3, 2, 4, 1, 5)
    assert spread([7]) == Spread(7, 7, 7, 7, 7)


def test_runs_are_compared_in_pairs() -> None:
    # Twice as fast in every round, on a machine that gets slower: medians would not tell.
    ours, theirs = [Cost(1), Cost(2), Cost(50)], [Cost(2), Cost(4), Cost(100)]
    found = ratio(ours, theirs, "wall")
    assert found == Spread(0.5, 0.5, 0.5, 0.5, 0.5)


def test_what_was_not_measured_has_no_ratio() -> None:
    assert ratio([Cost(1), Cost(1, cpu=1)], [Cost(1, cpu=1)] * 2, "cpu") is None
    assert ratio([], [], "wall") is None


def test_runs_that_have_no_partner_are_an_error() -> None:
    with pytest.raises(ValueError):
        ratio([Cost(1)], [Cost(1), Cost(2)], "wall")


def test_a_request_costs_its_part_of_time_and_all_of_memory() -> None:
    assert Cost(4, 2, 100, 50).each(4) == Cost(1, 0.5, 100, 50)
