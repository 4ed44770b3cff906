"""``annexshell-admin cluster``: looking after a cluster that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from annexshell.cli.admin_common import (
    Lazy,
    dry_run_option,
    json_option,
    say,
    say_json,
    with_gateway,
    write,
)

if TYPE_CHECKING:
    from annexshell.admin.gateway import Gateway

_COMMANDS: dict[str, tuple[str, str, str]] = {
    "graph": ("admin_cluster", "graph", "draw who reaches whom"),
    "remove-node": ("admin_cluster", "remove_node", "take a node out of a cluster"),
    "rename": ("admin_cluster", "rename", "give a cluster another name"),
    "status": (
        "admin_cluster",
        "status",
        "show nodes, and whether they can be reached",
    ),
}


@click.group(cls=Lazy, lazy=_COMMANDS)
def cluster() -> None:
    """Look after a cluster: what its nodes are, and how they are."""


def _duration(context: click.Context, option: click.Parameter, text: str) -> float:
    from annexshell.model.duration import parse_duration

    seconds = parse_duration(text)
    if seconds is None:
        raise click.BadParameter(f"{text} is no length of time: write 10s, 2m or never")
    return seconds


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--timeout",
    callback=_duration,
    default="10s",
    metavar="TIME",
    help="How long each node may take to answer; 10s by default.",
)
@with_gateway
@json_option
def status(
    gateway: Gateway, names: tuple[str, ...], timeout: float, as_json: bool
) -> int:
    """Show the nodes of clusters: who can be reached, and who has how much.

    All clusters of this gateway if no NAME is given. The exit status is 0 if everybody who
    was asked answered, and 1 if somebody did not. Nothing changes at a node.
    """
    from annexshell.admin.status import cluster_status

    found = cluster_status(gateway, names, timeout)
    everybody = all(one.reachable for one in found)
    if as_json:
        clusters = [one.as_json() for one in found]
        say_json({"clusters": clusters, "reachable": everybody})
    elif found:
        from annexshell.cli.admin_table import status_text

        write("\n".join(map(status_text, found)))
    else:
        say("no cluster is configured here; annexshell-admin initcluster makes one")
    return 0 if everybody else 1


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@with_gateway
@dry_run_option
@json_option
def rename(gateway: Gateway, old: str, new: str, dry_run: bool, as_json: bool) -> None:
    """Give the cluster OLD the name NEW.

    Clients see it as GATEWAY-NEW from when they next fetch. What was interrupted is
    completed by doing it again.
    """
    from annexshell.admin import renaming

    plan = renaming.rename(gateway, old, new, dry_run=dry_run)
    _told(plan.as_json(), plan.steps, dry_run, as_json)
    if not as_json and not dry_run:
        say(f"cluster {plan.old} is called {plan.new} now")


@click.command("remove-node")
@click.argument("name", metavar="CLUSTER")
@click.argument("node", metavar="NODE")
@click.option(
    "--force", is_flag=True, help="Even if copies that are needed go with it."
)
@with_gateway
@dry_run_option
@json_option
def remove_node(
    gateway: Gateway, name: str, node: str, force: bool, dry_run: bool, as_json: bool
) -> None:
    """Take NODE, a remote or a uuid, out of CLUSTER.

    Nothing at the node is deleted. Refused while the node has copies of which too few
    would be left, by the location log and numcopies.
    """
    from annexshell.admin import leaving
    from annexshell.errors import printable

    plan = leaving.remove_node(gateway, name, node, force=force, dry_run=dry_run)
    _told(plan.as_json(), plan.steps, dry_run, as_json)
    if not as_json and not dry_run:
        gone = f"{printable(node)} is no node of {printable(plan.cluster)} any more"
        say(f"{gone}; nothing was deleted there")


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["dot", "svg"]),
    default="dot",
    help="Graphviz's text, the default, or a picture; that needs Graphviz's dot.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where to write it, instead of standard output.",
)
@with_gateway
def graph(gateway: Gateway, name: str | None, form: str, output: str | None) -> None:
    """Draw gateways, clusters and nodes, and how they are reached.

    Only the cluster NAME if that is given. It is of what is configured and recorded:
    nobody is asked.
    """
    from annexshell.admin import graph as drawing

    text = drawing.dot(drawing.graph(gateway, [name] if name else []))
    content = drawing.svg(text) if form == "svg" else text.encode()
    if output is None:
        write(content.decode())
        return
    with open(output, "wb") as file:
        file.write(content)


def _told(
    found: dict[str, object], steps: list[str], dry_run: bool, as_json: bool
) -> None:
    if as_json:
        say_json({"dry-run": dry_run, **found})
    elif dry_run:
        for step in steps:
            say(f"would {step}")
