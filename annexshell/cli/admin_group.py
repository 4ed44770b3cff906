"""The commands of annexshell-admin. A command's module is loaded when it is asked for."""

from __future__ import annotations

import click

from annexshell.cli.admin_common import Lazy

_GATEWAY = "admin_gateway"
_COMMANDS = {
    "cluster": ("admin_cluster", "cluster", "look after a cluster"),
    "extendcluster": (
        _GATEWAY,
        "extendcluster",
        "become one more gateway of a cluster",
    ),
    "initcluster": (
        _GATEWAY,
        "initcluster",
        "make a cluster, with this as its gateway",
    ),
    "ssh-server": ("admin_server", "ssh_server", "serve annexshell over ssh"),
    "updatecluster": (_GATEWAY, "updatecluster", "record the nodes of clusters"),
    "updateproxy": (_GATEWAY, "updateproxy", "record the remotes that are proxied"),
}


@click.group(
    cls=Lazy,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "-C",
    "directory",
    metavar="DIR",
    default=".",
    help="The repository, or a directory in it; the current one by default.",
)
@click.pass_context
def group(context: click.Context, directory: str) -> None:
    """Administer an annexshell installation."""
    context.obj = directory
