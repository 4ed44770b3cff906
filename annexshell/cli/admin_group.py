"""The commands of annexshell-admin. A command's module is loaded when it is asked for."""

from __future__ import annotations

import click

from annexshell.cli.admin_common import Lazy

_GATEWAY = "admin_gateway"
_WANTED = "admin_wanted"
_COMMANDS = {
    "cluster": ("admin_cluster", "cluster", "look after a cluster"),
    "extendcluster": (
        _GATEWAY,
        "extendcluster",
        "become one more gateway of a cluster",
    ),
    "group": (_WANTED, "group", "show a repository's groups, or add one"),
    "groupwanted": (_WANTED, "groupwanted", "show or set what a group wants"),
    "initcluster": (
        _GATEWAY,
        "initcluster",
        "make a cluster, with this as its gateway",
    ),
    "maxsize": (_WANTED, "maxsize", "show or set how large repositories may get"),
    "required": (_WANTED, "required", "show or set what a repository has to have"),
    "ssh-server": ("admin_server", "ssh_server", "serve annexshell over ssh"),
    "ungroup": (_WANTED, "ungroup", "take a repository out of a group"),
    "updatecluster": (_GATEWAY, "updatecluster", "record the nodes of clusters"),
    "updateproxy": (_GATEWAY, "updateproxy", "record the remotes that are proxied"),
    "wanted": (_WANTED, "wanted", "show, set, check or explain what repositories want"),
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
