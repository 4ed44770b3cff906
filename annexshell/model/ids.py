"""Repository and cluster uuids, and associated file names, as they come over the wire."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is the largest part of a refusal's start-up
    from typing import NewType

    UUID = NewType("UUID", bytes)
else:
    UUID = bytes
"""A repository's uuid as git-annex writes it: opaque bytes, compared exactly."""

_SAFE = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HEX = b"-0123456789ABCDEFabcdef"
_LENGTHS = [8, 4, 4, 4, 12]


def is_safe_uuid(text: bytes) -> bool:
    """Whether ``text`` may become part of a path (spec 02 §9.1).

    ``lck`` would pass for a uuid, but is a directory beside those named after uuids.
    """
    return 0 < len(text) <= 64 and not text.translate(None, _SAFE) and text != b"lck"


def looks_like_uuid(text: bytes) -> bool:
    """Whether ``text`` has the form of a uuid; what peers report must (spec 01 §7.4)."""
    if text.translate(None, _HEX):
        return False
    return [len(part) for part in text.split(b"-")] == _LENGTHS


def is_cluster_uuid(uuid: UUID) -> bool:
    """Whether ``uuid`` has the form that only clusters have (spec 01 §8.1)."""
    return uuid.startswith(b"ac") and uuid[14:15] == b"8"
