"""What remotes cost; the values are those that git annex info shows."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from annexshell.model.ids import UUID
from annexshell.proxy.costs import (
    ask_commands,
    asks_programs,
    parse_cost,
    prices,
)
from annexshell.proxy.instantiated import Remote
from annexshell.repository.config import GitConfig

X = UUID(b"11111111-1111-4111-8111-111111111111")
B = UUID(b"bbbbbbbb-0000-4000-8000-000000000000")
DIRECT = Remote("B", B, "B")
PLAIN = Remote("B-n3", X, "B", B, hops=2)
BEHIND = Remote("B-n2", X, "B", B, behind=True, hops=2)
URL = ("remote.B.url", "ssh://host/srv")
COMMAND = ("remote.B.annex-cost-command", "tell")


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("150", 150),
        (" 150.5 ", 150.5),
        ("1e2", 100),
        ("-3", -3),
        ("- 3", -3),
        ("-0.5", -0.5),
        ("5.", 5),
        ("0x10", 16),
        ("1_0", 1),
        ("12 x", 12),
        ("1e", 1),
        ("77\n88\n", 77),
        ("Infinity", math.inf),
        ("+5", None),
        (".5", None),
        ("inf", None),
        ("NaN", None),
        ("", None),
        ("junk", None),
        ("\u0663", None),
        ("9" * 1000, math.inf),
    ],
)
def test_numbers_are_read_as_git_annex_reads_them(
    text: str, wanted: float | None
) -> None:
    assert parse_cost(text) == wanted


@pytest.mark.parametrize(
    "url, wanted",
    [
        ("/srv/x", 100),
        ("./a:b", 100),
        ("file:///srv/x", 100),
        ("host:x", 200),
        ("ssh://h/x", 200),
        ("https://h/x", 200),
        ("ext::foo", 200),
        ("short:x", 200),
    ],
)
def test_the_kind_of_url_decides(url: str, wanted: float) -> None:
    rewritten = ("url.ssh://host/.insteadof", "short:")
    config = GitConfig([("remote.B.url", url), rewritten])
    assert prices(config, [DIRECT]) == [wanted]


@pytest.mark.parametrize(
    "settings, direct, plain, behind",
    [
        ([], 200, 200, 200.1),
        ([("remote.B.annex-cost", "150")], 150, 150, 200.1),
        ([("remote.B.annex-cost", "junk")], 200, 200, 200.1),
        ([("annex.cost", "42")], 42, 42, 200.1),
        ([("annex.cost-command", "tell")], 9, 9, 9),
        ([("remote.B.annex-cost", "33"), COMMAND], 9, 9, 9),
    ],
)
def test_costs_as_git_annex_has_them(
    settings: list[tuple[str, str]], direct: float, plain: float, behind: float
) -> None:
    config = GitConfig([URL, *settings])
    found = prices(config, [DIRECT, PLAIN, BEHIND], lambda asked: {"tell": "9"})
    assert found == [direct, plain, behind]


def test_what_is_behind_a_gateway_is_never_cheaper_than_the_gateway() -> None:
    config = GitConfig([URL, ("remote.B.annex-cost", "300")])
    assert prices(config, [DIRECT, BEHIND]) == [300, 300]


def test_a_command_that_prints_no_number_means_the_default() -> None:
    config = GitConfig([URL, ("remote.B.annex-cost", "33"), COMMAND])
    assert prices(config, [DIRECT], lambda asked: {"tell": "junk"}) == [200]


def test_a_command_that_failed_is_as_none() -> None:
    config = GitConfig([URL, ("remote.B.annex-cost", "33"), COMMAND])
    assert prices(config, [DIRECT], lambda asked: {}) == [33]
    assert prices(config, [DIRECT]) == [33]


def test_each_command_is_asked_once_and_none_is_not_asked() -> None:
    asked: list[list[str]] = []

    def run(commands: Iterable[str]) -> Mapping[str, str]:
        asked.append(list(commands))
        return {}

    prices(GitConfig([URL]), [DIRECT, PLAIN], run)
    assert asked == []
    prices(GitConfig([URL, COMMAND]), [DIRECT, PLAIN, BEHIND], run)
    assert asked == [["tell"]]


def test_commands_are_run_by_sh_in_the_repository(tmp_path: Path) -> None:
    found = ask_commands(["pwd", 'echo "$0 $#"; echo'], cwd=str(tmp_path))
    assert found == {"pwd": f"{tmp_path}\n", 'echo "$0 $#"; echo': "sh 0\n\n"}


def test_commands_that_fail_are_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert ask_commands(["echo 5; exit 3"], cwd=str(tmp_path)) == {}
    assert "(echo 5; exit 3): exit code 3" in caplog.text
    assert ask_commands(["true"], cwd=str(tmp_path / "gone")) == {}


def test_commands_that_hang_are_ended_with_what_they_started(tmp_path: Path) -> None:
    # The child holds the pipe: reading from it ends only when that one is gone.
    command = "sleep 1000 & echo 5; wait"
    assert ask_commands([command], cwd=str(tmp_path), patience=0.1) == {}


@pytest.mark.parametrize(
    "entries, wanted",
    [
        ([URL], False),
        ([("remote.B.annex-cost", "5")], False),
        ([URL, COMMAND], True),
        ([("annex.cost-command", "tell")], True),
    ],
)
def test_whether_any_cost_may_be_told_by_a_command(
    entries: list[tuple[str, str]], wanted: bool
) -> None:
    assert asks_programs(GitConfig(entries)) is wanted
