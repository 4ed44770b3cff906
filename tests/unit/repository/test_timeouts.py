"""The settings that say how long others are waited for."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from annexshell.repository import timeouts
from annexshell.repository.config import GitConfig

SETTINGS = [
    ("annexshell.idle-timeout", timeouts.idle_timeout, timeouts.IDLE),
    ("annexshell.stall-timeout", timeouts.stall_timeout, timeouts.STALL),
    ("annexshell.node-timeout", timeouts.node_timeout, timeouts.NODE),
    ("annexshell.slow-node-timeout", timeouts.slow_node_timeout, timeouts.SLOW_NODE),
    ("annexshell.backend-timeout", timeouts.backend_timeout, timeouts.BACKEND),
]
each = pytest.mark.parametrize("name, read, default", SETTINGS)
Read = Callable[[GitConfig], float]


@each
def test_what_is_set_counts(name: str, read: Read, default: float) -> None:
    assert read(GitConfig([])) == default
    assert read(GitConfig([(name, "5m"), (name, "7")])) == 7
    assert read(GitConfig([(name, "never")])) == math.inf


@each
def test_nonsense_is_the_default_and_said(
    name: str, read: Read, default: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(GitConfig([(name, "a while")])) == default
    (said,) = caplog.messages
    assert name in said and "'a while'" in said


@pytest.mark.parametrize(
    "value, seconds",
    [(None, 60.0), ("5m", 300.0), ("0", 0.0), ("never", 0.0), ("soon", 60.0)],
)
def test_connections_are_never_kept_for_ever(value: str | None, seconds: float) -> None:
    items = [] if value is None else [("annexshell.node-idle", value)]
    assert timeouts.node_idle(GitConfig(items)) == seconds
