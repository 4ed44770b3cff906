"""``annexshell-admin cluster``: looking after a cluster that exists."""

from __future__ import annotations

import click

from annexshell.cli.admin_common import Lazy

_COMMANDS: dict[str, tuple[str, str, str]] = {}


@click.group(cls=Lazy, lazy=_COMMANDS)
def cluster() -> None:
    """Look after a cluster: what its nodes are, and how they are."""
