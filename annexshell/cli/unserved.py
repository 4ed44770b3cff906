"""Commands of git-annex-shell that this server does not carry out yet."""

from __future__ import annotations

from annexshell.cli.commands import Invocation
from annexshell.errors import NotServedYet


def refuse(invocation: Invocation) -> int:
    """Raises NotServedYet."""
    raise NotServedYet(command=invocation.command, where=invocation.path)
