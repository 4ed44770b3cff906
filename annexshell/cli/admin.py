"""annexshell-admin: the operator's command, never reachable through the shell."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

_SERVER = """\
Serve annexshell over ssh where no sshd is at hand. A client can do one thing: run the
command that the authorized_keys file forces for its key, which finds what the client asked
for in SSH_ORIGINAL_COMMAND. Honoured per key: command=, environment=, from=, restrict and
no-*. A line with any other option is refused. Runs until interrupted."""
_DEFAULT_COMMAND = 'annexshell -c "$SSH_ORIGINAL_COMMAND"'


def main(arguments: Sequence[str] | None = None) -> int:
    """The console entry point; the result is the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _ssh_server(options)
    except OSError as error:
        where = error.filename or ":".join(map(str, options.listen))
        _log(f"cannot serve ({where}): {error.strerror}")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="annexshell-admin", description="Administer an annexshell installation."
    )
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands"
    )
    server = commands.add_parser(
        "ssh-server", help="serve annexshell over ssh", description=_SERVER
    )
    _add_server_options(server)
    return parser


def _add_server_options(server: argparse.ArgumentParser) -> None:
    server.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 0),
        metavar="HOST:PORT",
        help="where to listen; port 0, the default, takes a free one and prints it",
    )
    server.add_argument(
        "--host-key",
        required=True,
        metavar="FILE",
        help="the server's private key; made with mode 0600 if absent",
    )
    server.add_argument(
        "--authorized-keys",
        required=True,
        metavar="FILE",
        help="who may log in, read anew for each connection",
    )
    server.add_argument(
        "--command",
        dest="forced",
        metavar="TEMPLATE",
        nargs="?",
        const=_DEFAULT_COMMAND,
        help="shell command forced for keys without command=; without a value: "
        + _DEFAULT_COMMAND.replace("%", "%%"),
    )


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not of the form HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _ssh_server(options: argparse.Namespace) -> int:
    try:
        from annexshell.sshd.server import Settings, run
    except ModuleNotFoundError as error:
        _log(f"{error.name} is not installed: pip install 'annexshell[admin]'")
        return 1
    host, port = options.listen
    settings = Settings(
        host=host,
        port=port,
        host_key=options.host_key,
        authorized_keys=options.authorized_keys,
        environ=dict(os.environ),
        command=options.forced,
        log=_log,
    )
    return run(settings, _ready)


def _ready(host: str, port: int) -> None:
    print(f"listening on {host}:{port}", flush=True)


def _log(line: str) -> None:
    print(f"annexshell-admin: {line}", file=sys.stderr, flush=True)
