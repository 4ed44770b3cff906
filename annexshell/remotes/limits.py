"""How long a node may take, by what it does: multiples of annexshell.node-timeout.

A node that hangs must not hold the session. One that works must not be cut off: it may wait
a minute for somebody's lock, hash all it has before it reads on, hash and sync all it was
sent before it says SUCCESS, and wait while somebody else uploads the same key to it.
"""

from __future__ import annotations

import attrs

from annexshell.model.duration import time_to_hash

_SLOWEST_UPLOAD = 1_000_000
"""Bytes a second at which somebody else may be uploading what a node makes us wait for."""


@attrs.frozen
class NodeLimits:
    """Seconds, from the setting ``unit``; infinite if that is."""

    unit: float = 60.0

    @property
    def connecting(self) -> float:
        """From the start of ssh to the node's answer to VERSION."""
        return self.unit

    @property
    def answer(self) -> float:
        """To say what it knows; a lock is waited for up to 60 seconds (spec 02 §19)."""
        return 2 * self.unit

    @property
    def payload(self) -> float:
        """Between two bytes of a payload, in either direction."""
        return 5 * self.unit

    @property
    def removal(self) -> float:
        """To remove content, which may have to be moved to a trash bin."""
        return 10 * self.unit

    def turn(self, size: int | None) -> float:
        """To begin: another client's upload may have to end, or content be fetched."""
        return 15 * self.unit + (size or 0) / _SLOWEST_UPLOAD

    def storing(self, size: int) -> float:
        """To verify, sync and put in place ``size`` bytes."""
        return 15 * self.unit + time_to_hash(size)
