"""Whether bytes are a key's content (spec 02 §3).

A key's `Check` says how that is told: by digests, by the program of an external backend,
or by the size alone where nobody could tell more. A `Verifier` carries it out, hashing
while the bytes arrive. What could be told and cannot be told here is refused, because
content that nobody verified would count as a good copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from annexshell.errors import BackendFailed, NotVerifiable, RequestError
from annexshell.model.key import Key
from annexshell.repository.backends import (
    Algorithm,
    Digest,
    algorithm_of,
    expected,
    started,
)

if TYPE_CHECKING:
    from annexshell.repository.external import Program
    from annexshell.repository.open import Repository

_EQUIVALENT = b"VURL"
_MOST_PATIENCE = 10**6


@attrs.frozen
class Check:
    """How the content of one key is told from other bytes.

    Of ``digests`` and ``programs`` one has to agree. ``secure`` is whether
    annex.securehashesonly lets the key in. ``missing`` is the program that would verify
    it if it were installed.
    """

    key: Key
    digests: tuple[tuple[Key, Algorithm], ...] = ()
    programs: tuple[tuple[Key, Program], ...] = ()
    secure: bool = False
    missing: str = ""

    @property
    def verifies(self) -> bool:
        """Whether more than the size is looked at."""
        return bool(self.digests or self.programs)


def check_of(repository: Repository, key: Key) -> Check:
    """How the repository verifies a key.

    For a VURL key the git-annex branch is read, for an external backend its program asked.
    Raises NotVerifiable, BackendFailed and BranchUnreadable.
    """
    if key.backend == _EQUIVALENT:
        return _any_of(key, _equivalents(repository, key), repository)
    algorithm = algorithm_of(key)
    if algorithm is not None:
        # Whether its module is there is to be known before any content comes.
        started(algorithm, key)
        return Check(key, digests=((key, algorithm),), secure=algorithm.secure)
    if key.backend.startswith(b"X"):
        return _external(key, repository)
    return Check(key)


def _external(key: Key, repository: Repository) -> Check:
    from annexshell.repository.external import find_program, program_name
    from annexshell.repository.timeouts import backend_timeout

    patience = min(backend_timeout(repository.config), _MOST_PATIENCE)
    program = find_program(key, int(patience))
    if program is None:
        return Check(key, missing=program_name(key))
    able = program.abilities(key)
    programs = ((key, program),) if able.verifies else ()
    return Check(key, programs=programs, secure=able.secure)


def _equivalents(repository: Repository, key: Key) -> list[Key]:
    from annexshell.logs.equivalent import equivalent_keys, equivalent_path
    from annexshell.repository.branch import Branch

    one_level = repository.config.boolean("annex.tune.branchhash1", False)
    path = equivalent_path(key, one_level=one_level)
    found = equivalent_keys(Branch(repository).read(path))
    return sorted(found, key=lambda other: other.text)


def _any_of(key: Key, others: list[Key], repository: Repository) -> Check:
    """The check of a VURL key. Without equivalent keys it cannot be verified by anybody."""
    if not others:
        return Check(key, secure=True)
    checks: list[Check] = []
    refused: list[RequestError] = []
    for other in others:
        try:
            checks.append(check_of(repository, other))
        except (NotVerifiable, BackendFailed) as error:
            refused.append(error)
    check = Check(
        key,
        digests=tuple(entry for one in checks for entry in one.digests),
        programs=tuple(entry for one in checks for entry in one.programs),
        # Of what cannot be told it is not known to be secure.
        secure=all(one.secure for one in checks) and not refused,
        missing=next((one.missing for one in checks if one.missing), ""),
    )
    if not check.verifies and refused:
        raise refused[0]
    if not check.verifies:
        detail = "none of its equivalent keys can be verified"
        raise NotVerifiable(key=key, detail=detail)
    return check


class Verifier:
    """Takes a key's content in order and tells whether it was that."""

    def __init__(self, check: Check) -> None:
        """Raises NotVerifiable."""
        self._check = check
        wanted: dict[str, set[str]] = {}
        self._digests: dict[str, Digest] = {}
        for key, algorithm in check.digests:
            # Several equivalent keys may have the same digest: it is computed once.
            if algorithm.name not in wanted:
                self._digests[algorithm.name] = started(algorithm, key)
            wanted.setdefault(algorithm.name, set()).update(expected(key))
        self._wanted = wanted
        self.count = 0
        """Bytes taken so far."""

    @property
    def check(self) -> Check:
        return self._check

    @property
    def verifies(self) -> bool:
        """Whether more than the number of bytes is looked at, now or at the end."""
        return self._check.verifies

    @property
    def computes(self) -> bool:
        """Whether the bytes given to `update` matter, and not only their number."""
        return bool(self._digests)

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """The next bytes of the content."""
        for digest in self._digests.values():
            digest.update(chunk)
        self.count += len(chunk)

    def ok(self, path: str | None = None) -> bool:
        """Whether what was taken is the whole content, by its size and by what verifies it.

        The program of an external backend reads the file at ``path``; without one it is
        not asked, and has not agreed. Raises BackendFailed and NotVerifiable.
        """
        size = self._check.key.size
        if size is not None and size != self.count:
            return False
        if not self.verifies or any(self._agreed()):
            return True
        return path is not None and any(
            program.verify(key, path) for key, program in self._check.programs
        )

    def _agreed(self) -> Iterable[bool]:
        for name, digest in self._digests.items():
            yield digest.hexdigest() in self._wanted[name]
