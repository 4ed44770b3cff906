"""What all repositories want, by the git-annex branch as it is now (spec 04 §1).

Every upload to a cluster asks, and what is pushed counts from the next one on. So what was
compiled is kept together with all that it was made from.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from annexshell.errors import AnnexshellError
from annexshell.logs.expressions import expressions
from annexshell.logs.groups import groups
from annexshell.logs.mapped import Form
from annexshell.logs.maxsize import maxsizes
from annexshell.logs.numcopies import numcopies
from annexshell.logs.special import special_remotes
from annexshell.model.ids import UUID
from annexshell.repository.branch import Branch
from annexshell.repository.config import GitConfig
from annexshell.repository.open import Repository
from annexshell.wanted.facts import Configuration
from annexshell.wanted.preferences import Preferences

log = logging.getLogger(__name__)

_PREFERRED = b"preferred-content.log"
_REQUIRED = b"required-content.log"
_GROUP_PREFERRED = b"group-preferred-content.log"
_GROUPS = b"group.log"
_MAXSIZE = b"maxsize.log"
_NUMCOPIES = b"numcopies.log"
_REMOTES = b"remote.log"
_LOGS = (
    *(_PREFERRED, _REQUIRED, _GROUP_PREFERRED, _GROUPS, _MAXSIZE, _NUMCOPIES),
    *(_REMOTES, b"trust.log", b"cluster.log"),
)
_THRESHOLD = "annex.fullybalancedthreshhold"
_DEFAULT_THRESHOLD = 90.0
_DECIMAL = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?")

_Value = TypeVar("_Value")


class Settings:
    """The configuration of one repository's branch. Fit for one thread at a time."""

    def __init__(self, repository: Repository, branch: Branch) -> None:
        self._config = repository.config
        self._branch = branch
        self._source: object = None
        self._texts: dict[bytes, bytes] = {}
        self._made: tuple[Configuration, Preferences] | None = None
        self._failed = False
        self._said: set[str] = set()

    def current(self) -> tuple[Configuration, Preferences]:
        """What is configured now, and the expressions, compiled as they are asked for.

        Where nothing has changed this takes microseconds, and gives the same objects.
        Never raises: a log that cannot be read counts as one that says nothing, and is
        in our log.
        """
        self._failed = False
        # Before the texts, so that what changes meanwhile is seen the next time.
        source = self._tried(lambda: self._branch.source(_LOGS), None)
        if self._made is None or source is None or source != self._source:
            texts = {path: self._read(path) for path in _LOGS}
            if self._made is None or texts != self._texts:
                self._made = self._compiled(texts)
            # What could not be read is tried again, and the rest with it.
            self._source, self._texts = (None, {}) if self._failed else (source, texts)
        return self._made

    def _compiled(
        self, texts: Mapping[bytes, bytes]
    ) -> tuple[Configuration, Preferences]:
        new = self._configuration(texts)
        if self._made is not None and self._made[0] == new:
            return self._made
        return new, Preferences(new)

    def _configuration(self, texts: Mapping[bytes, bytes]) -> Configuration:
        return Configuration(
            preferred=expressions(texts[_PREFERRED], Form.OLD),
            required=expressions(texts[_REQUIRED], Form.OLD),
            group_preferred=expressions(texts[_GROUP_PREFERRED], Form.NEW),
            groups=groups(texts[_GROUPS]),
            maxsize=maxsizes(texts[_MAXSIZE]),
            trust=self._tried(self._branch.trust, {}),
            clusters=self._tried(self._branch.clusters, {}),
            numcopies=max(1, numcopies(texts[_NUMCOPIES]) or 1),
            directories=_directories(texts[_REMOTES]),
            threshold=_threshold(self._config),
        )

    def _read(self, path: bytes) -> bytes:
        return self._tried(lambda: self._branch.read(path), b"")

    def _tried(self, look_up: Callable[[], _Value], otherwise: _Value) -> _Value:
        try:
            return look_up()
        except AnnexshellError as error:
            self._failed = True
            if str(error) not in self._said:
                self._said.add(str(error))
                log.warning("what repositories want is not known: %s", error)
            return otherwise


def _directories(content: bytes) -> dict[UUID, str]:
    return {
        uuid: settings["preferreddir"]
        for uuid, settings in special_remotes(content).items()
        if "preferreddir" in settings
    }


def _threshold(config: GitConfig) -> float:
    """In percent; what is no number counts as not set (spec 04 §7.5)."""
    value = config.get(_THRESHOLD)
    usable = value is not None and _DECIMAL.fullmatch(value.strip())
    return float(value) if usable and value is not None else _DEFAULT_THRESHOLD
