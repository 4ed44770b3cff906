"""What a new repository says of itself on the git-annex branch (spec 02 §14.3).

Every line is written once: an attempt at initialising that is taken up after a crash finds
what is there, and changes nothing of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from annexshell.errors import Unsupported
from annexshell.logs.mapped import (
    Form,
    descriptions,
    parse_map,
    with_description,
    with_value,
)
from annexshell.model.clock import Clock
from annexshell.model.ids import UUID
from annexshell.repository.branch import Branch
from annexshell.repository.config import as_boolean
from annexshell.repository.merging import TUNES, differences_in, differences_set
from annexshell.repository.open import Repository

_UNTRUSTED = b"0"
_SAYINGS = {
    "annex.initwanted": b"preferred-content.log",
    "annex.initrequired": b"required-content.log",
}
_ORDER = ("annex.tune.objecthashlower", *TUNES)
"""git-annex lists differences in this order."""


class FirstLogs:
    """The logs of a repository that is to have ``uuid``."""

    def __init__(
        self, branch: Branch, repository: Repository, uuid: UUID, now: Clock
    ) -> None:
        self._branch = branch
        self._repository = repository
        self._config = repository.config
        self._uuid = uuid
        self._now = now

    def write(self, description: bytes) -> frozenset[str]:
        """Write all of them, and make the branch; the settings annex.tune.* to have.

        Raises Unsupported where those are not known, or git config has others already,
        and as `Branch` does.
        """
        if _shares_all_objects(self._repository.common_dir):
            # Before the branch is made, which gives the repository objects of its own.
            self._say(b"trust.log", _UNTRUSTED)
        self._branch.create()
        tunes = self._tunes()
        self._record_tunes(tunes)
        self._introduce(description)
        return tunes

    @property
    def secure_hashes_only(self) -> bool:
        """Whether config.log asks new repositories to set annex.securehashesonly."""
        if self._config.get("annex.securehashesonly") is not None:
            return False
        wanted = parse_map(self._branch.read(b"config.log"), Form.NEW)
        found = wanted.get(b"annex.securehashesonly")
        return found is not None and as_boolean(os.fsdecode(found.value), False)

    @property
    def distrusted(self) -> bool:
        """Whether it is a clone that shares its origin's objects: no copy of its own.

        By the log, since an attempt that was cut off gave it objects.
        """
        entry = parse_map(self._branch.read(b"trust.log"), Form.OLD).get(self._uuid)
        return entry is not None and entry.value == _UNTRUSTED

    def _tunes(self) -> frozenset[str]:
        """The settings annex.tune.* that the repository must have, by its difference.log.

        They are fixed with the first repository of the branch.
        """
        log = self._branch.read(b"difference.log")
        listed, configured = differences_in(log), differences_set(self._config)
        if listed is None or not listed <= set(TUNES.values()):
            raise self._untunable("difference.log lists a tuning that is not known")
        others = set(descriptions(self._branch.read(b"uuid.log"))) - {self._uuid}
        fixed = listed if listed or others else configured
        if configured and configured != fixed:
            raise self._untunable("annex.tune.* differs from the repository's clones")
        return frozenset(name for name, word in TUNES.items() if word in fixed)

    def _record_tunes(self, tunes: frozenset[str]) -> None:
        """Say how the repository is tuned, if it is."""
        names = [name for name in dict.fromkeys(_ORDER) if name in tunes]
        if names:
            words = b",".join(TUNES[name] for name in names)
            self._say(b"difference.log", b"fromList [%b]" % words)

    def _introduce(self, description: bytes) -> None:
        """The description, and what annex.init* of git config asks for."""
        for name, path in _SAYINGS.items():
            value = self._config.get(name)
            if value:
                self._say(path, os.fsencode(value))
        groups = sorted({*(self._config.get("annex.initgroups") or "").split()})
        if groups:
            self._say(b"group.log", os.fsencode(" ".join(groups)))
        self._write(
            b"uuid.log",
            lambda old: with_description(old, self._uuid, description, self._now),
        )

    def _say(self, path: bytes, value: bytes) -> None:
        self._write(
            path, lambda old: with_value(old, Form.OLD, self._uuid, value, self._now)
        )

    def _write(self, path: bytes, edit: Callable[[bytes], bytes | None]) -> None:
        def once(old: bytes) -> bytes | None:
            return None if self._uuid in parse_map(old, Form.OLD) else edit(old)

        self._branch.change(path, self._uuid, once)

    def _untunable(self, why: str) -> Unsupported:
        return Unsupported(setting=f"autoinit where {why}", path=self._repository.path)


def _shares_all_objects(common_dir: str) -> bool:
    """Whether it has none of git's objects itself but another repository's (``--shared``)."""
    objects = os.path.join(common_dir, "objects")
    if not os.path.exists(os.path.join(objects, "info", "alternates")):
        return False
    for name in os.listdir(objects):
        below = os.path.join(objects, name)
        loose = len(name) == 2 and os.path.isdir(below) and os.listdir(below)
        packed = name == "pack" and any(p.endswith(".pack") for p in os.listdir(below))
        if loose or packed:
            return False
    return True
