"""``annexshell-admin wanted check`` and ``wanted explain``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from annexshell.cli.admin_common import (
    json_option,
    say,
    say_json,
    with_gateway,
    write,
)

if TYPE_CHECKING:
    from annexshell.admin.checking import Finding
    from annexshell.admin.gateway import Gateway


@click.command()
@click.argument("repositories", metavar="[REPO]...", nargs=-1)
@with_gateway
@json_option
def check(gateway: Gateway, repositories: tuple[str, ...], as_json: bool) -> int:
    """Look for faults in what repositories are configured to want.

    All that are not dead if no REPO is given. The exit status is 1 if something is wrong;
    what only looks strange is told as a hint.
    """
    from annexshell.admin.checking import check as find

    found = find(gateway, repositories)
    wrong = any(finding.wrong for finding in found)
    if as_json:
        say_json({"findings": [one.as_json() for one in found], "wrong": wrong})
    else:
        _tell(found)
    return 1 if wrong else 0


def _tell(found: Sequence[Finding]) -> None:
    for finding in found:
        hint = "" if finding.wrong else "hint: "
        say(f"{finding.where}: {hint}{finding.message}")
        for line in finding.shown.splitlines():
            say(f"    {line}")
    if not found:
        say("nothing is wrong")


@click.command()
@click.argument("key")
@click.option(
    "--file",
    metavar="FILE",
    help="The file of the key, relative to the top of the repository.",
)
@click.option(
    "--node",
    "nodes",
    metavar="REPO",
    multiple=True,
    help="Explain only what this repository wants; can be given several times.",
)
@click.option(
    "--rebalance",
    is_flag=True,
    help="Ask as git annex assist --rebalance does: where balanced content should be now.",
)
@with_gateway
@json_option
def explain(
    gateway: Gateway,
    key: str,
    file: str | None,
    nodes: tuple[str, ...],
    rebalance: bool,
    as_json: bool,
) -> None:
    """Say which repositories want KEY, and why.

    As a cluster asks when KEY is uploaded: of all its nodes, and who has no expression gets
    everything. Without a cluster here, all repositories that have an expression are asked.
    Nothing changes.
    """
    from annexshell.admin.explaining import explain_key

    found = explain_key(gateway, key, file, nodes, rebalance=rebalance)
    if as_json:
        about = {"key": _text(key), "file": None if file is None else _text(file)}
        say_json({**about, "nodes": [verdict.as_json() for verdict in found]})
    elif found:
        from annexshell.cli.admin_tree import verdict_text

        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        write("\n".join(verdict_text(verdict, colour=colour) for verdict in found))
    else:
        say("nobody has an expression, and no cluster has a node")


def _text(value: str) -> str:
    return os.fsencode(value).decode("utf-8", "backslashreplace")
