"""A git-annex branch with as many keys as one likes, made in one go by fast-import.

The logs are spread over directories as git-annex spreads them, are all different, and
look as they do after years: some repositories have dropped what they had.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from hashlib import md5

import attrs

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from tests.support.repositories import BRANCH, Repo

_PIECE = 2000
"""Files written to fast-import at once."""
_EPOCH = 1_600_000_000
_QUICK = ("-c", "core.compression=1", "-c", "core.fsync=none", "-c", "gc.auto=0")


@attrs.frozen
class BigBranch:
    """Which ``keys`` keys are where: all is computed from the number of a key.

    Of the ``uuids`` about ``copies`` have each key, ``seed`` says which.
    """

    uuids: Sequence[UUID]
    keys: int
    copies: int = 2
    seed: int = 0

    def key(self, number: int) -> Key:
        """The key of that number; the numbers need not be below ``keys``."""
        return Key.parse(self._name(number))

    def size(self, number: int) -> int:
        """The bytes that the key says it has."""
        return 1000 + number * 7919 % 1_000_003

    def import_all(self, repo: Repo) -> str:
        """Make it the repository's branch, with a uuid.log; the id of the commit."""
        described = b"".join(
            b"%b node %d timestamp=%ds\n" % (uuid, number, _EPOCH)
            for number, uuid in enumerate(self.uuids)
        )
        files = self._logs(range(self.keys), self.seed)
        return _import(repo, _chained((b"uuid.log", described), files), None)

    def import_changes(self, repo: Repo, count: int, seed: int = 1) -> str:
        """A commit on top that changes ``count`` logs, some of them of new keys."""
        dice = random.Random(seed)
        known = dice.sample(range(self.keys), min(self.keys, count * 9 // 10))
        new = range(self.keys, self.keys + count - len(known))
        numbers = [*known, *new]
        return _import(repo, self._logs(numbers, seed), repo.tip())

    def _name(self, number: int) -> bytes:
        digest = b"%032x" % (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128))
        return b"SHA256E-s%d--%b%b.dat" % (self.size(number), digest, digest)

    def _logs(self, numbers: Iterable[int], seed: int) -> Iterator[tuple[bytes, bytes]]:
        dice, uuids = random.Random(seed), sorted(self.uuids)
        count, copies = len(uuids), min(self.copies, len(uuids))
        for number in numbers:
            name = self._name(number)
            spread = md5(name, usedforsecurity=False).hexdigest().encode()
            path = b"%b/%b/%b.log" % (spread[:3], spread[3:6], name)
            clock, first = _EPOCH + seed * 10**7 + number, int(dice.random() * count)
            status = b"0" if dice.random() < 0.1 else b"1"
            lines = [
                b"%ds %b %b\n" % (clock + i, b"1" if i else status, uuid)
                for i in range(copies)
                for uuid in (uuids[(first + i) % count],)
            ]
            yield path, b"".join(lines)


def _chained(
    first: tuple[bytes, bytes], others: Iterable[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    yield first
    yield from others


def _import(
    repo: Repo, files: Iterable[tuple[bytes, bytes]], parent: str | None
) -> str:
    command = ["git", *_QUICK, "fast-import", "--quiet", "--force", "--done"]
    with subprocess.Popen(
        command, cwd=repo.path, env=repo.environment, stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(
            b"commit %b\ncommitter peer <p@example.com> 1 +0000\ndata 4\nbig\n"
            % BRANCH.encode()
        )
        if parent is not None:
            process.stdin.write(b"from %b\n" % parent.encode())
        piece = []
        for path, content in files:
            piece.append(
                b"M 100644 inline %b\ndata %d\n%b\n" % (path, len(content), content)
            )
            if len(piece) == _PIECE:
                process.stdin.write(b"".join(piece))
                piece.clear()
        process.stdin.write(b"".join([*piece, b"\ndone\n"]))
    assert process.returncode == 0
    return repo.tip()
