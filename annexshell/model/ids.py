"""Repository and cluster uuids, and associated file names, as they come over the wire."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is the largest part of a refusal's start-up
    from typing import NewType

    UUID = NewType("UUID", bytes)
else:
    UUID = bytes
"""A repository's uuid as git-annex writes it: opaque bytes, compared exactly."""

_SAFE = re.compile(rb"[A-Za-z0-9-]{1,64}\Z")
_LIKELY = re.compile(rb"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")


def is_safe_uuid(text: bytes) -> bool:
    """Whether ``text`` may become part of a path (spec 02 §9.1)."""
    return _SAFE.match(text) is not None


def looks_like_uuid(text: bytes) -> bool:
    """Whether ``text`` has the form of a uuid; what peers report must (spec 01 §7.4)."""
    return _LIKELY.match(text) is not None


def is_cluster_uuid(uuid: UUID) -> bool:
    """Whether ``uuid`` has the form that only clusters have (spec 01 §8.1)."""
    return uuid.startswith(b"ac") and uuid[14:15] == b"8"
