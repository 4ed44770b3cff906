"""Setting and showing what repositories want, as git-annex's commands do (spec 04 §1).

Each changes one line of one log. A value that is there already is not written again, where
git-annex writes the same line with a newer clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import lru_cache, partial

import attrs

from annexshell.admin.changes import changing
from annexshell.admin.errors import (
    BadGroupName,
    ExpressionNotParsed,
    NegativeSize,
    SizeNotParsed,
)
from annexshell.admin.gateway import Gateway
from annexshell.admin.repositories import Names
from annexshell.errors import printable
from annexshell.logs.expressions import expressions, with_expression
from annexshell.logs.groups import groups, with_groups
from annexshell.logs.mapped import Form
from annexshell.logs.maxsize import maxsizes, with_maxsize
from annexshell.model.ids import UUID
from annexshell.placement.configuration import Settings
from annexshell.repository.branch import Edit
from annexshell.wanted.facts import Configuration
from annexshell.wanted.parse import Parsed, Problem, messages, parse
from annexshell.wanted.preferences import Preferences
from annexshell.wanted.quantities import parse_size

_NOBODY = UUID(b"")
"""Settings of groups concern no repository, private ones neither."""


class Log(Enum):
    """The expressions of repositories; the value is the command's name."""

    WANTED = "wanted"
    REQUIRED = "required"

    @property
    def path(self) -> bytes:
        """Where they are on the branch."""
        name = "preferred" if self is Log.WANTED else "required"
        return name.encode() + b"-content.log"


@attrs.frozen
class Change:
    """What a command did, or would do. ``warnings`` are fit to be printed."""

    changed: bool
    uuid: UUID = _NOBODY
    warnings: tuple[str, ...] = ()


# -- expressions -----------------------------------------------------------------------------


def expression(gateway: Gateway, log: Log, repository: str) -> tuple[UUID, str]:
    """Who is meant, and its expression, empty if it has none. Raises as `Names` does."""
    uuid = Names.of(gateway).uuid(repository)
    return uuid, expressions(gateway.branch.read(log.path), Form.OLD).get(uuid, "")


def set_expression(
    gateway: Gateway, log: Log, repository: str, text: str, *, dry_run: bool = False
) -> Change:
    """Give the repository an expression; an empty one takes it away.

    Raises ExpressionNotParsed, and as `Names` and `changing` do.
    """
    _check(log.value, repository, text)
    with changing(gateway, dry_run=dry_run) as now:
        uuid = Names.of(now).uuid(repository)
        edit = partial(
            with_expression, form=Form.OLD, subject=uuid, text=text, candidate=now.now
        )
        changed = _change(now, log.path, uuid, edit, dry_run)
        known = configuration(now)
    if dry_run:
        known = _with_text(known, log, uuid, text)
    return Change(changed, uuid, _unstable(known, log, uuid))


_OF_GROUPS = b"group-preferred-content.log"


def group_expression(gateway: Gateway, group: str) -> str:
    """What ``groupwanted`` stands for in the group. Raises as `Branch.read` does."""
    return expressions(gateway.branch.read(_OF_GROUPS), Form.NEW).get(group, "")


def set_group_expression(
    gateway: Gateway, group: str, text: str, *, dry_run: bool = False
) -> Change:
    """Say what ``groupwanted`` stands for in the group; nothing if ``text`` is empty.

    Raises BadGroupName, ExpressionNotParsed, and as `changing` does.
    """
    name = _group_name(group)
    _check("groupwanted", group, text)
    with changing(gateway, dry_run=dry_run) as now:
        edit = partial(
            with_expression, form=Form.NEW, subject=name, text=text, candidate=now.now
        )
        changed = _change(now, _OF_GROUPS, _NOBODY, edit, dry_run)
        names, known = Names.of(now), configuration(now)
    texts = {**known.group_preferred, group: text}
    known = attrs.evolve(known, group_preferred=texts)
    return Change(changed, warnings=tuple(_unstable_members(names, known, group)))


@lru_cache(maxsize=64)
def parsed(text: str) -> Parsed:
    """What `parse` gives; a text of a megabyte takes seconds, and is asked for again."""
    return parse(text)


def _check(command: str, name: str, text: str) -> None:
    problems = parsed(text).problems
    if problems:
        raise ExpressionNotParsed(
            carets(text, problems),
            command=command,
            name=name,
            problems=messages(problems[:_SHOWN]),
        )


def carets(text: str, problems: tuple[Problem, ...]) -> str:
    """The places of the first problems, a mark under each; fit to be printed."""
    return "\n".join(problem.caret(text) for problem in problems[:_SHOWN])


_SHOWN = 5


def configuration(gateway: Gateway) -> Configuration:
    """What is configured for all repositories."""
    return Settings(gateway.repository, gateway.branch).current()[0]


def _with_text(known: Configuration, log: Log, uuid: UUID, text: str) -> Configuration:
    if log is Log.WANTED:
        return attrs.evolve(known, preferred={**known.preferred, uuid: text})
    return attrs.evolve(known, required={**known.required, uuid: text})


def _unstable(known: Configuration, log: Log, uuid: UUID) -> tuple[str, ...]:
    preferences = Preferences(known)
    wanted = log is Log.WANTED
    found = preferences.preferred(uuid) if wanted else preferences.required(uuid)
    return () if found is None else tuple(map(printable, found.explain_instability()))


def _unstable_members(names: Names, known: Configuration, group: str) -> Iterator[str]:
    """Whose expressions match nothing because of the group's."""
    preferences = Preferences(known)
    for uuid in sorted(known.members.get(group, ())):
        found = preferences.preferred(uuid)
        if found is not None and found.expression.expands("groupwanted"):
            for sentence in found.explain_instability():
                yield f"{names.short(uuid)}: {printable(sentence)}"


# -- groups ----------------------------------------------------------------------------------

_GROUPS = b"group.log"


def groups_of(gateway: Gateway, repository: str) -> tuple[UUID, list[str]]:
    """Who is meant, and its groups, sorted. Raises as `Names` does."""
    uuid = Names.of(gateway).uuid(repository)
    found = groups(gateway.branch.read(_GROUPS)).get(uuid, ())
    return uuid, sorted(found, key=_bytes)


def change_group(
    gateway: Gateway,
    repository: str,
    group: str,
    *,
    member: bool,
    dry_run: bool = False,
) -> Change:
    """Put the repository into a group, or take it out.

    Raises BadGroupName, and as `Names` and `changing` do.
    """
    _group_name(group)
    with changing(gateway, dry_run=dry_run) as now:
        uuid = Names.of(now).uuid(repository)

        def edit(old: bytes) -> bytes | None:
            before = groups(old).get(uuid, frozenset())
            after = before | {group} if member else before - {group}
            return with_groups(old, uuid, after, now.now)

        return Change(_change(now, _GROUPS, uuid, edit, dry_run), uuid)


def _group_name(group: str) -> bytes:
    name = _bytes(group)
    if not name or any(end in name for end in b" \r\n"):
        raise BadGroupName(name=group or '""')
    return name


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# -- sizes -----------------------------------------------------------------------------------

_SIZES = b"maxsize.log"


def maxsize(gateway: Gateway, repository: str) -> tuple[UUID, int | None]:
    """Who is meant, and its limit in bytes. Raises as `Names` does."""
    uuid = Names.of(gateway).uuid(repository)
    return uuid, maxsizes(gateway.branch.read(_SIZES)).get(uuid)


def set_maxsize(
    gateway: Gateway, repository: str, size: str, *, dry_run: bool = False
) -> Change:
    """Limit the repository; there is no way to take a limit away again.

    Raises SizeNotParsed, NegativeSize, and as `Names` and `changing` do.
    """
    limit = parse_size(size)
    if limit is None:
        raise SizeNotParsed(size=size, name=repository)
    if limit < 0:
        raise NegativeSize(name=repository)
    with changing(gateway, dry_run=dry_run) as now:
        uuid = Names.of(now).uuid(repository)
        edit = partial(with_maxsize, uuid=uuid, limit=limit, candidate=now.now)
        changed = _change(now, _SIZES, uuid, edit, dry_run)
    warnings = () if limit else (_ZERO,)
    return Change(changed, uuid, warnings)


_ZERO = (
    "a maxsize of 0 does not mean that there is no limit: balanced expressions take the"
    " repository for full"
)


def _change(now: Gateway, path: bytes, uuid: UUID, edit: Edit, dry_run: bool) -> bool:
    """Whether there is something to change, done unless it is a dry run."""
    if dry_run:
        return edit(now.branch.read(path)) is not None
    changed = now.branch.change(path, uuid, edit)
    if changed:
        now.branch.settle()
    return changed
