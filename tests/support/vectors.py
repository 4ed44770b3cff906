"""What git-annex was seen to answer about preferred content (spec 04)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).resolve().parents[1] / "data" / "preferred_content.json"


@cache
def _all() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_DATA.read_text(encoding="utf-8"))
    return loaded


def vectors(section: str) -> Any:
    """One section of the data; its form is told by the section itself. Not to be changed."""
    return _all()[section]
