"""What a repository's git config says about warm starts."""

from __future__ import annotations

from annexshell.model.duration import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from annexshell.repository.config import GitConfig

IDLE = 600.0
"""Seconds that a resident stays without a session."""


def allows_warm(config: GitConfig) -> bool:
    """``annexshell.warm``."""
    return config.boolean("annexshell.warm", True)


def warm_idle(config: GitConfig) -> float:
    """``annexshell.warm-idle`` in seconds; infinite where a resident stays for good."""
    value = config.get("annexshell.warm-idle")
    seconds = None if value is None else parse_duration(value)
    return IDLE if seconds is None else seconds
