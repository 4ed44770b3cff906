"""How long others are waited for: settings of ours (docs/design.md says why these)."""

from __future__ import annotations

import logging
import math

from annexshell.model.duration import parse_duration, spell_duration
from annexshell.repository.config import GitConfig

log = logging.getLogger("annexshell.repository")

IDLE = 2 * 86400.0
"""Seconds a client may be silent while nothing is on its way."""
STALL = 600.0
"""Seconds in which at least one byte of a payload must move."""
NODE = 60.0
"""Seconds that a node may take to connect; other limits are multiples of it."""
SLOW_NODE = 20.0
"""Seconds for which one node of a cluster may hold up an upload to the others."""

NODE_IDLE = 60.0
"""Seconds for which a connection to a node waits for the next session."""

BACKEND = 600.0
"""Seconds that the program of an external backend may be silent."""


def idle_timeout(config: GitConfig) -> float:
    """``annexshell.idle-timeout`` in seconds; infinite where there is no limit."""
    return _timeout(config, "annexshell.idle-timeout", IDLE)


def stall_timeout(config: GitConfig) -> float:
    """``annexshell.stall-timeout`` in seconds."""
    return _timeout(config, "annexshell.stall-timeout", STALL)


def node_timeout(config: GitConfig) -> float:
    """``annexshell.node-timeout`` in seconds."""
    return _timeout(config, "annexshell.node-timeout", NODE)


def slow_node_timeout(config: GitConfig) -> float:
    """``annexshell.slow-node-timeout`` in seconds."""
    return _timeout(config, "annexshell.slow-node-timeout", SLOW_NODE)


def node_idle(config: GitConfig) -> float:
    """``annexshell.node-idle`` in seconds; ``0`` and ``never`` are 0, not for ever."""
    seconds = _timeout(config, "annexshell.node-idle", NODE_IDLE)
    return 0.0 if math.isinf(seconds) else seconds


def backend_timeout(config: GitConfig) -> float:
    """``annexshell.backend-timeout`` in seconds."""
    return _timeout(config, "annexshell.backend-timeout", BACKEND)


def _timeout(config: GitConfig, name: str, default: float) -> float:
    value = config.get(name)
    if value is None:
        return default
    seconds = parse_duration(value)
    if seconds is None:
        log.warning(
            "%s is no length of time (%r): using %s; write 30s, 10m, 2h, 1d or never",
            name,
            value,
            spell_duration(default),
        )
        return default
    return seconds
