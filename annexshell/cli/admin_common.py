"""What commands of annexshell-admin share: options, and how results are printed.

    @click.command()
    @with_gateway
    @dry_run_option
    @json_option
    def status(gateway: Gateway, dry_run: bool, as_json: bool) -> None:

A command raises AnnexshellError, or OSError, and `annexshell.cli.admin` tells it.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from annexshell.admin.gateway import Gateway

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object."
)
dry_run_option = click.option(
    "-n", "--dry-run", is_flag=True, help="Say what would change, and change nothing."
)


class Lazy(click.Group):
    """A group that knows its commands by name, and loads the one that is asked for.

    ``lazy`` has, by name, the module in annexshell.cli, what to import from it, and the
    line that help says of it, so that listing the commands loads none of them.
    """

    def __init__(
        self, *args: Any, lazy: Mapping[str, tuple[str, str, str]], **options: Any
    ) -> None:
        super().__init__(*args, **{"no_args_is_help": False, **options})
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        module, attribute, _ = self._lazy[cmd_name]
        found = getattr(import_module(f"annexshell.cli.{module}"), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{module}.{attribute} is no command")
        return found

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        rows = [(name, self._lazy[name][2]) for name in sorted(self._lazy)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def with_gateway(
    function: Callable[Concatenate[Gateway, P], R],
) -> Callable[P, R]:
    """Open the repository that -C names, here or before the command, as ``gateway``.

    The environment is first rid of what would turn git to another repository, and what
    nodes say on stderr of control characters.
    """

    @click.option("-C", "directory", metavar="DIR", help="The repository.")
    @functools.wraps(function)
    def command(*args: P.args, **options: P.kwargs) -> R:
        from annexshell.admin.gateway import open_gateway
        from annexshell.cli.environment import take_surroundings
        from annexshell.cli.harmless import harmless_stderr

        given = options.pop("directory", None)
        directory = given or click.get_current_context().find_root().obj or "."
        clock = take_surroundings(os.environ).clock
        with harmless_stderr():
            gateway = open_gateway(str(directory), clock)
            return function(gateway, *args, **options)

    return command


def say(text: str) -> None:
    """One line on stdout; names in it have been through `printable`."""
    write(text + "\n")


def say_json(found: dict[str, object]) -> None:
    """One JSON object on one line of stdout; everything in it is text or numbers."""
    import json

    write(json.dumps(found, sort_keys=False) + "\n")


def write(text: str) -> None:
    """Text on stdout, in UTF-8 whatever the locale is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
