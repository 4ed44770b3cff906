"""Tables for a person: plain text, without colour, as wide as the terminal."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from annexshell.errors import printable
from annexshell.repository.space import roughly

if TYPE_CHECKING:
    from annexshell.admin.status import ClusterStatus, MemberStatus

_UNKNOWN = "-"
_NARROWEST = 80
"""Columns."""


def status_text(found: ClusterStatus) -> str:
    """A cluster's heading, the table of its members, and a line for each note."""
    cluster = found.cluster
    about = printable(cluster.description)
    heading = f"cluster {printable(cluster.name)}  {printable(cluster.uuid)}"
    lines = [f"{heading}  ({about})" if about else heading]
    if found.members:
        lines.append(_drawn(_table(found)))
    else:
        lines.append("no nodes: set annex-cluster-node of a remote, and run")
        lines.append("annexshell-admin updatecluster")
    lines += [note for member in found.members for note in member.notes]
    return "\n".join(lines) + "\n"


def _table(found: ClusterStatus) -> Table:
    table = Table(box=box.ASCII2, show_edge=False, pad_edge=False)
    table.add_column("node", overflow="fold")
    table.add_column("repository", overflow="fold")
    table.add_column("reached", no_wrap=True)
    for name in ("protocol", "free", "keys", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    for member in found.members:
        # Text, because a string would be searched for markup.
        table.add_row(*map(Text, _row(member)))
    return table


def _row(found: MemberStatus) -> tuple[str, ...]:
    member, probe = found.member, found.probe
    version = None if probe is None else probe.version
    free = None if probe is None else probe.free
    return (
        printable(member.name or member.remote) or _UNKNOWN,
        printable(member.description or member.uuid),
        _reached(found),
        _UNKNOWN if version is None else str(version),
        _UNKNOWN if free is None else roughly(free),
        _UNKNOWN if found.keys is None else str(found.keys),
        _UNKNOWN if found.cost is None else f"{found.cost:g}",
    )


def _reached(found: MemberStatus) -> str:
    if found.probe is None:
        return "not asked"
    return found.member.how if found.probe.reachable else "NO"


def _drawn(table: Table) -> str:
    # In a narrower one names would be left out; wrapped lines can still be read.
    width = max(_NARROWEST, shutil.get_terminal_size().columns)
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, legacy_windows=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
