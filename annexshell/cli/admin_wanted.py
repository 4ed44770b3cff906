"""What repositories are configured to want: git-annex's commands of the same names.

Lines on stdout are git-annex's own, save that what a terminal might obey is escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from annexshell.cli.admin import note
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
    from annexshell.admin.preferences import Change

_REPOSITORY = "REPO is a remote, a description, a uuid, or here."


def _text(value: str) -> str:
    """Text of a log for JSON; what is no UTF-8 is spelled out."""
    data = value.encode("utf-8", "surrogateescape")
    return data.decode("utf-8", "backslashreplace")


def _uuid(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _show(command: str, text: str, as_json: bool, **fields: object) -> None:
    if as_json:
        say_json({"command": command, **fields})
        return
    from annexshell.admin.checking import spelled

    say(spelled(text))


def _tell(
    command: str,
    name: str,
    make: Callable[[], Change],
    dry_run: bool,
    as_json: bool,
    **fields: object,
) -> int:
    """Make a change, and say so as git-annex does."""
    from annexshell.admin.checking import spelled
    from annexshell.admin.errors import ExpressionNotParsed

    try:
        change = make()
    except ExpressionNotParsed as error:
        note(str(error))
        for line in error.shown.splitlines():
            note(line)
        return 1
    if as_json:
        about: dict[str, object] = {"uuid": _uuid(change.uuid)} if change.uuid else {}
        happened = {"dry-run": dry_run, "changed": change.changed}
        warnings = {"warnings": list(change.warnings)}
        say_json({"command": command, **happened, **about, **fields, **warnings})
        return 0
    for warning in change.warnings:
        note(warning)
    say(f"{'(dry run) ' if dry_run else ''}{command} {spelled(name)} ok")
    return 0


# -- expressions -----------------------------------------------------------------------------


def _expression(
    command: str,
    gateway: Gateway,
    repository: str,
    expression: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    from annexshell.admin import preferences

    log = preferences.Log(command)
    if expression is None:
        uuid, text = preferences.expression(gateway, log, repository)
        fields = {"uuid": _uuid(uuid), "expression": _text(text)}
        _show(command, text, as_json, **fields)
        return 0
    return _tell(
        command,
        repository,
        lambda: preferences.set_expression(
            gateway, log, repository, expression, dry_run=dry_run
        ),
        dry_run,
        as_json,
        expression=_text(expression),
    )


_WANTED_HELP = f"""Show or set what REPO wants.

{_REPOSITORY} An empty EXPRESSION takes away the one that is set. One that cannot be parsed
is refused.
"""
_REQUIRED_HELP = f"""Show or set what REPO has to have.

{_REPOSITORY} An empty EXPRESSION takes away the one that is set. It also counts as wanted,
and git-annex drops it from there only by force.
"""


@click.command("wanted", help=_WANTED_HELP)
@click.argument("repository", metavar="REPO")
@click.argument("expression", metavar="[EXPRESSION]", required=False)
@with_gateway
@dry_run_option
@json_option
def show_or_set(
    gateway: Gateway,
    repository: str,
    expression: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    return _expression("wanted", gateway, repository, expression, dry_run, as_json)


@click.command(help=_REQUIRED_HELP)
@click.argument("repository", metavar="REPO")
@click.argument("expression", metavar="[EXPRESSION]", required=False)
@with_gateway
@dry_run_option
@json_option
def required(
    gateway: Gateway,
    repository: str,
    expression: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    return _expression("required", gateway, repository, expression, dry_run, as_json)


@click.command()
@click.argument("group")
@click.argument("expression", metavar="[EXPRESSION]", required=False)
@with_gateway
@dry_run_option
@json_option
def groupwanted(
    gateway: Gateway,
    group: str,
    expression: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Show or set what groupwanted stands for in GROUP.

    It counts for repositories of the group whose own expression says groupwanted. An empty
    EXPRESSION takes away the one that is set.
    """
    from annexshell.admin import preferences

    if expression is None:
        text = preferences.group_expression(gateway, group)
        fields = {"group": _text(group), "expression": _text(text)}
        _show("groupwanted", text, as_json, **fields)
        return 0
    return _tell(
        "groupwanted",
        group,
        lambda: preferences.set_group_expression(
            gateway, group, expression, dry_run=dry_run
        ),
        dry_run,
        as_json,
        group=_text(group),
        expression=_text(expression),
    )


_SUBCOMMANDS = {
    "check": ("admin_explain", "check", "look for faults in all expressions"),
    "explain": ("admin_explain", "explain", "say who wants a key, and why"),
}
_WITH_VALUE = ("-C",)


class _Wanted(Lazy):
    """The subcommands, and git-annex's own form ``wanted REPO [EXPRESSION]``.

    Options before the first word may belong to either: that word decides.
    """

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        at = _first_word(args)
        if at is None:
            return super().make_context(info_name, args, parent, **extra)
        if (
            args[at] in self.list_commands(click.Context(self))
            and "--" not in args[:at]
        ):
            ordered = [args[at], *args[:at], *args[at + 1 :]]
            return super().make_context(info_name, ordered, parent, **extra)
        return show_or_set.make_context(info_name, args, parent, **extra)


def _first_word(args: list[str]) -> int | None:
    """Where the first argument is that is no option."""
    at = 0
    while at < len(args):
        if args[at] == "--":
            return at + 1 if at + 1 < len(args) else None
        if not args[at].startswith("-") or args[at] == "-":
            return at
        at += 2 if args[at] in _WITH_VALUE else 1
    return None


@click.group(
    cls=_Wanted,
    lazy=_SUBCOMMANDS,
    subcommand_metavar="REPO [EXPRESSION] | COMMAND [ARGS]...",
)
def wanted() -> None:
    """Show or set what REPO wants, as git annex wanted does; or look into it.

    REPO is a remote, a description, a uuid, or here. An empty EXPRESSION takes away the one
    that is set; one that cannot be parsed is refused. A repository that is called check or
    explain can be given by its uuid. Options: -C DIR, --dry-run, --json.
    """


# -- groups ----------------------------------------------------------------------------------


@click.command()
@click.argument("repository", metavar="REPO")
@click.argument("name", metavar="[GROUP]", required=False)
@with_gateway
@dry_run_option
@json_option
def group(
    gateway: Gateway, repository: str, name: str | None, dry_run: bool, as_json: bool
) -> int:
    """Show the groups that REPO is in, or put it into GROUP.

    REPO is a remote, a description, a uuid, or here.
    """
    if name is not None:
        return _change_group(gateway, repository, name, True, dry_run, as_json)
    from annexshell.admin import preferences

    uuid, groups = preferences.groups_of(gateway, repository)
    fields = {"uuid": _uuid(uuid), "groups": [_text(one) for one in groups]}
    _show("group", " ".join(groups), as_json, **fields)
    return 0


@click.command()
@click.argument("repository", metavar="REPO")
@click.argument("name", metavar="GROUP")
@with_gateway
@dry_run_option
@json_option
def ungroup(
    gateway: Gateway, repository: str, name: str, dry_run: bool, as_json: bool
) -> int:
    """Take REPO out of GROUP.

    REPO is a remote, a description, a uuid, or here.
    """
    return _change_group(gateway, repository, name, False, dry_run, as_json)


def _change_group(
    gateway: Gateway,
    repository: str,
    name: str,
    member: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    from annexshell.admin import preferences

    return _tell(
        "group" if member else "ungroup",
        repository,
        lambda: preferences.change_group(
            gateway, repository, name, member=member, dry_run=dry_run
        ),
        dry_run,
        as_json,
        group=_text(name),
    )


# -- sizes -----------------------------------------------------------------------------------


@click.command()
@click.argument("repository", metavar="[REPO]", required=False)
@click.argument("size", metavar="[SIZE]", required=False)
@click.option("--bytes", "exact", is_flag=True, help="Show exact numbers of bytes.")
@with_gateway
@dry_run_option
@json_option
def maxsize(
    gateway: Gateway,
    repository: str | None,
    size: str | None,
    exact: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Show how full repositories are, or show or set how large REPO may get.

    REPO is a remote, a description, a uuid, or here; SIZE is as in 100GB, 1.5TB or 500GiB.
    git-annex and clusters go by it where an expression balances content.
    """
    from annexshell.admin import preferences
    from annexshell.wanted.quantities import parse_size, precise_size

    if repository is None:
        return _table(gateway, exact, as_json)
    if size is not None:
        return _tell(
            "maxsize",
            repository,
            lambda: preferences.set_maxsize(gateway, repository, size, dry_run=dry_run),
            dry_run,
            as_json,
            maxsize=parse_size(size),
        )

    uuid, limit = preferences.maxsize(gateway, repository)
    text = "" if limit is None else str(limit) if exact else precise_size(limit)
    _show("maxsize", text, as_json, uuid=_uuid(uuid), maxsize=limit)
    return 0


def _table(gateway: Gateway, exact: bool, as_json: bool) -> int:
    from annexshell.admin.usage import HEADING, usage

    found = usage(gateway)
    if as_json:
        repositories = [one.as_json() for one in found]
        say_json({"command": "maxsize", "repositories": repositories})
        return 0
    lines = [HEADING, *(one.line(exact=exact) for one in found)]
    write("\n".join(lines) + "\n")
    return 0
