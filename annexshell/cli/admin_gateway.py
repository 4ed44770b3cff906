"""What a gateway says of itself: updateproxy, initcluster, updatecluster, extendcluster.

Lines on stdout are git-annex's own (spec 01 §11.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from annexshell.cli.admin import note
from annexshell.cli.admin_common import (
    dry_run_option,
    json_option,
    say,
    say_json,
    with_gateway,
)
from annexshell.errors import printable

if TYPE_CHECKING:
    from annexshell.admin.changes import Changes, ClusterChange, Listed
    from annexshell.admin.gateway import Gateway


@click.command()
@with_gateway
@dry_run_option
@json_option
def updateproxy(gateway: Gateway, dry_run: bool, as_json: bool) -> None:
    """Record which remotes can be used through this repository.

    Those with remote.NAME.annex-proxy set, nodes of clusters, and the clusters.
    """
    from annexshell.admin import commands

    changes = commands.updateproxy(gateway, dry_run=dry_run)
    _tell("updateproxy", changes, None, dry_run, as_json)


@click.command()
@with_gateway
@dry_run_option
@json_option
def updatecluster(gateway: Gateway, dry_run: bool, as_json: bool) -> None:
    """Record which remotes are nodes of this repository's clusters.

    Those with remote.NAME.annex-cluster-node set to a cluster's name. Then does what
    updateproxy does.
    """
    from annexshell.admin import commands

    changes = commands.updatecluster(gateway, dry_run=dry_run)
    _tell("updatecluster", changes, None, dry_run, as_json)


@click.command()
@click.argument("name")
@click.argument("description", required=False)
@with_gateway
@dry_run_option
@json_option
def initcluster(
    gateway: Gateway, name: str, description: str | None, dry_run: bool, as_json: bool
) -> None:
    """Make a new cluster NAME, with this repository as its gateway."""
    from annexshell.admin import commands

    changes = commands.initcluster(gateway, name, description, dry_run=dry_run)
    _tell("initcluster", changes, name, dry_run, as_json)


@click.command()
@click.argument("other", metavar="GATEWAY")
@click.argument("name")
@with_gateway
@dry_run_option
@json_option
def extendcluster(
    gateway: Gateway, other: str, name: str, dry_run: bool, as_json: bool
) -> None:
    """Make this repository a gateway of the cluster NAME too.

    GATEWAY is a git remote that is a gateway of it already. Then does what updatecluster
    does.
    """
    from annexshell.admin import commands

    changes = commands.extendcluster(gateway, other, name, dry_run=dry_run)
    _tell("extendcluster", changes, name, dry_run, as_json)


def _tell(
    command: str, changes: Changes, name: str | None, dry_run: bool, as_json: bool
) -> None:
    """Print what changed; ``name`` is the cluster's that the command was about."""
    if as_json:
        say_json({"command": command, "dry-run": dry_run, **_as_data(changes)})
        return
    for warning in changes.warnings:
        note(str(warning))
    for line in _lines(command, changes, name, dry_run):
        say(f"(dry run) {line}" if dry_run else line)


def _lines(
    command: str, changes: Changes, name: str | None, dry_run: bool
) -> Iterator[str]:
    if dry_run:
        for setting in changes.settings:
            yield f"set {printable(setting.name)} to {printable(setting.value)}"
    if name is not None:
        yield f"{command} {printable(name)} ok"
    for cluster in changes.clusters:
        yield from _nodes(cluster)
    if changes.proxy:
        for one in changes.proxy.listed:
            done = "Started" if one.added else "Stopped"
            yield f"{done} proxying for {printable(one.name)}"
        if not changes.proxy.listed:
            yield "No proxy changes to record."


def _nodes(cluster: ClusterChange) -> Iterator[str]:
    name = printable(cluster.name)
    for one in cluster.listed:
        done, where = ("Added", "to") if one.added else ("Removed", "from")
        yield f"{done} node {printable(one.name)} {where} cluster: {name}"
    if not cluster.listed:
        yield f"No cluster node changes for cluster: {name}"


def _as_data(changes: Changes) -> dict[str, object]:
    found: dict[str, object] = {
        "changed": not changes.none,
        "config": [{"name": s.name, "value": s.value} for s in changes.settings],
        "clusters": [
            {
                "name": cluster.name,
                "uuid": _text(cluster.uuid),
                "added": _named(cluster.listed, added=True),
                "removed": _named(cluster.listed, added=False),
            }
            for cluster in changes.clusters
        ],
        "warnings": [str(warning) for warning in changes.warnings],
    }
    if changes.proxy:
        listed = changes.proxy.listed
        found["proxy"] = {
            "started": _named(listed, added=True),
            "stopped": _named(listed, added=False),
        }
    return found


def _named(listed: Sequence[Listed], *, added: bool) -> list[dict[str, str]]:
    return [
        {"uuid": _text(one.uuid), "name": _text(one.name)}
        for one in listed
        if one.added is added
    ]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
