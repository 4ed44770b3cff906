"""What an audit log says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from annexshell.repository.audit import Audit, Who
from annexshell.repository.logfile import LogFile

Line = dict[str, Any]


def audit_to(path: Path, **who: Any) -> Audit:
    """An audit log in the file ``path``."""
    return Audit(LogFile("annexshell.auditlog", str(path), 0o600), Who(**who))


def lines_of(path: Path) -> list[Line]:
    """Every line of an audit log; each must be JSON."""
    if not path.exists():
        return []
    text = path.read_bytes()
    assert text.endswith(b"\n") and text.isascii()
    return [json.loads(line) for line in text.splitlines()]


def told(path: Path) -> list[str]:
    """The requests and their outcomes, with the reason where there is one."""
    return [
        f"{line['request']} {line['outcome']}"
        + (f": {line['reason']}" if "reason" in line else "")
        for line in lines_of(path)
    ]
