"""The urls of a key: ``.log.web`` (spec 03 §2.1, §4.9).

Lines are those of a location log, with an url in the place of the uuid.
"""

from __future__ import annotations

from annexshell.logs.location import holders, location_path
from annexshell.model.key import Key


def urls_path(key: Key, *, one_level: bool = False) -> bytes:
    """The branch path of the key's log. ``one_level`` is annex.tune.branchhash1."""
    return location_path(key, one_level=one_level) + b".web"


def present_urls(content: bytes) -> frozenset[str]:
    """The urls that are recorded, as they stand in the log with their prefixes."""
    return frozenset(url.decode("utf-8", "surrogateescape") for url in holders(content))
