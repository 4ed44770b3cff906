"""Lengths of time as settings spell them."""

from __future__ import annotations

import math

import pytest

from annexshell.model.duration import parse_duration, spell_duration, time_to_hash


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("30", 30),
        ("30s", 30),
        (" 10m ", 600),
        ("10 m", 600),
        ("2H", 7200),
        ("1d", 86400),
        ("0", math.inf),
        ("0s", math.inf),
        ("never", math.inf),
        ("Never", math.inf),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", "-1", "1.5h", "10x", "10ms", "1 2", "soon", "1e3", "٣", "9" * 10, "1s0"],
)
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    "seconds, text",
    [(1, "1s"), (90, "90s"), (600, "10m"), (7200, "2h"), (172800, "2d"), (0.5, "0.5s")],
)
def test_spelling(seconds: float, text: str) -> None:
    assert spell_duration(seconds) == text


def test_a_terabyte_takes_its_time() -> None:
    assert time_to_hash(0) == 0
    assert 3600 < time_to_hash(10**12) < 86400
