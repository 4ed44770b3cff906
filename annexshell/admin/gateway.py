"""The repository that an operator's command is about."""

from __future__ import annotations

import os

import attrs

from annexshell.admin.errors import NoRepositoryHere, NotYours
from annexshell.errors import NestedRepository, NotAnAnnex, NotARepository
from annexshell.model.clock import Clock, clock_now, parse_clock
from annexshell.model.ids import UUID
from annexshell.repository.branch import Branch
from annexshell.repository.config import GitConfig
from annexshell.repository.missing import why_missing
from annexshell.repository.open import Repository, open_repository, without_git
from annexshell.repository.ownership import is_trusted
from annexshell.repository.supported import require_served


@attrs.frozen
class Gateway:
    """An annex of ours, with its logs. ``fixed_clock`` is GIT_ANNEX_VECTOR_CLOCK's."""

    repository: Repository
    branch: Branch
    fixed_clock: Clock | None = None

    @property
    def uuid(self) -> UUID:
        return self.repository.uuid

    @property
    def config(self) -> GitConfig:
        """As it was when the repository was opened."""
        return self.repository.config

    @property
    def now(self) -> Clock:
        """The time of a change that is made now."""
        return clock_now() if self.fixed_clock is None else self.fixed_clock

    def reread(self) -> Gateway:
        """The same with the config as it is now. Raises ConfigUnreadable."""
        return using(self.repository.reread(), self.fixed_clock)


def open_gateway(directory: str, clock: bytes | None = None) -> Gateway:
    """The annex that ``directory`` is in; ``clock`` is GIT_ANNEX_VECTOR_CLOCK's text.

    Raises ShellError: it must be an initialised repository, of a version that we know, and
    our own or one that this account calls safe.
    """
    repository = _find(directory)
    if not is_trusted(repository.common_dir):
        raise NotYours(path=repository.path)
    if not repository.uuid:
        raise NotAnAnnex(path=repository.path)
    require_served(repository)
    return using(repository, None if clock is None else parse_clock(clock))


def using(repository: Repository, clock: Clock | None) -> Gateway:
    """A gateway with new logs: `Branch` reads settings of the config only once."""
    return Gateway(repository, Branch(repository, clock), clock)


def _find(directory: str) -> Repository:
    """The repository at ``directory`` or above it, as git would look for it."""
    real = os.path.realpath(directory)
    if not os.path.isdir(real):
        raise why_missing(directory)
    path = real
    while True:
        try:
            return open_repository(without_git(path))
        except NestedRepository:
            raise
        except NotARepository as error:
            above = os.path.dirname(path)
            if above == path:
                raise NoRepositoryHere(path=real) from error
            path = above
