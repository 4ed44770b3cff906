"""``annexshell-admin ssh-server``: the embedded ssh server."""

from __future__ import annotations

import os

import click

from annexshell.cli.admin import note
from annexshell.cli.admin_common import say
from annexshell.cli.errors import CannotServe

_DEFAULT_COMMAND = 'annexshell -c "$SSH_ORIGINAL_COMMAND"'


def _address(
    context: click.Context, option: click.Parameter, text: str
) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{text} is not of the form HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


@click.command("ssh-server")
@click.option(
    "--listen",
    callback=_address,
    default="127.0.0.1:0",
    metavar="HOST:PORT",
    help="where to listen; port 0, the default, takes a free one and prints it",
)
@click.option(
    "--host-key",
    required=True,
    metavar="FILE",
    help="the server's private key; made with mode 0600 if absent",
)
@click.option(
    "--authorized-keys",
    required=True,
    metavar="FILE",
    help="who may log in, read anew for each connection",
)
@click.option(
    "--command",
    "forced",
    metavar="[TEMPLATE]",
    is_flag=False,
    flag_value=_DEFAULT_COMMAND,
    help="shell command forced for keys without command=; without a value: "
    + _DEFAULT_COMMAND,
)
def ssh_server(
    listen: tuple[str, int], host_key: str, authorized_keys: str, forced: str | None
) -> int:
    """Serve annexshell over ssh where no sshd is at hand.

    A client can do one thing: run the command that the authorized_keys file forces for its
    key, which finds what the client asked for in SSH_ORIGINAL_COMMAND. Honoured per key:
    command=, environment=, from=, restrict and no-*. A line with any other option is
    refused. Runs until interrupted.
    """
    from annexshell.sshd.server import Settings, run

    host, port = listen
    settings = Settings(
        host=host,
        port=port,
        host_key=host_key,
        authorized_keys=authorized_keys,
        environ=dict(os.environ),
        command=forced,
        log=note,
    )
    try:
        return run(settings, lambda host, port: say(f"listening on {host}:{port}"))
    except OSError as error:
        where = error.filename or f"{host}:{port}"
        raise CannotServe(where=where, detail=error.strerror or error) from error
